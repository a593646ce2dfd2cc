import NetworkModel
import Testing
import Wire

@testable import Streaming

/// What keeps offsets in four bytes has to count on beyond them.
@Suite("More than four gigabytes")
struct LongStreamTests {
    private static let piece = StreamReceiver.maximumWindow
    private static let pieces = UInt64(600)
    private let now = Instant(nanoseconds: 1)

    @Test("an offset is known from any other that is near, on either side of four gigabytes")
    func near() {
        for start in [0, 1 << 32 - 1, 1 << 32, 7 << 32 - 5, 1 << 60] as [UInt64] {
            for distance in [0, 1, 5, UInt64(Self.piece), UInt64(UInt32.max)] {
                let offset = NearOffset(start + distance, from: start)
                #expect(offset.offset(from: start) == start + distance)
                #expect(offset.distance(to: start + distance) == 0)
            }
            #expect(NearOffset(start, from: start).distance(to: start + 12) == 12)
        }
    }

    @Test("a receiver grants, takes and acknowledges them")
    func receiver() throws {
        var receiver = StreamReceiver(BufferPool(), window: Self.piece, at: now)
        for index in 0..<Self.pieces {
            let offset = index * UInt64(Self.piece)
            #expect(receiver.granted == offset + UInt64(Self.piece))
            #expect(try receiver.check(offset, count: Self.piece) == 0)
            receiver.passed(Self.piece)
            #expect(receiver.isAcknowledgmentDue == true)
            let frame = receiver.takeAcknowledgment(at: now, roundTrip: .zero, mayGrow: false)
            #expect(frame.offset == offset + UInt64(Self.piece))
            #expect(receiver.owesAcknowledgment == false)
        }
        let end = Self.pieces * UInt64(Self.piece)
        try receiver.finish(end)
        #expect(receiver.finOffset == end && receiver.isFinDue)
    }

    @Test("a sender sends them, and forgets what is acknowledged")
    func sender() throws {
        var sender = StreamSender(BufferPool())
        sender.open(window: UInt32(Self.piece))
        for index in 0..<Self.pieces {
            let offset = index * UInt64(Self.piece)
            #expect(sender.sent == offset && sender.limit == offset + UInt64(Self.piece))
            let count = sender.fill(atMost: Self.piece) { $0.count }
            #expect(count == Self.piece && sender.ready == count && sender.room == 0)
            sender.didSend(count)
            let end = offset + UInt64(count)
            let frame = Acknowledgment(offset: end, window: UInt32(Self.piece))
            #expect(try sender.acknowledged(frame))
        }
        sender.end()
        #expect(sender.finOffset == Self.pieces * UInt64(Self.piece) && sender.isFinDue)
    }
}
