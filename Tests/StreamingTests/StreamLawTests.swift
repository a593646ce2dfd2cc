import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

/// One direction of a stream over a path that keeps order, with sockets that take and give what they like.
private struct Direction: ~Copyable {
    enum Frame {
        case data(UInt64, [UInt8])
        case fin(UInt64)
    }

    var sender: StreamSender
    var receiver: StreamReceiver
    let total: UInt64
    var isEnded = false
    var forth: [Frame] = []
    var back: [Acknowledgment] = []
    var delivered: [UInt8] = []
    var hasDeliveredFin = false
    var now = Instant(nanoseconds: 0)

    init(total: UInt64, window: Int, _ pool: BufferPool) {
        sender = StreamSender(pool)
        receiver = StreamReceiver(pool, window: window, at: now)
        self.total = total
        sender.open(window: UInt32(window))
    }

    mutating func read(atMost limit: Int) {
        guard sender.room > 0, !isEnded else { return }
        let rest = Int(total - sender.ring.end)
        guard rest > 0 else {
            isEnded = true
            return sender.end()
        }
        _ = sender.fill(atMost: limit) { space in
            let start = total - UInt64(rest)
            let count = min(rest, space.count)
            space.copyBytes(from: Pattern.bytes(start..<start + UInt64(count)))
            return count
        }
    }

    mutating func send(atMost limit: Int) {
        let count = min(limit, sender.ready)
        if count > 0 {
            var bytes = [UInt8](repeating: 0, count: count)
            unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe sender.ring.copy(from: sender.sent, to: bytes)
            }
            forth.append(.data(sender.sent, bytes))
            sender.didSend(count)
        } else if sender.isFinDue {
            forth.append(.fin(sender.sent))
            sender.didSendFin()
        }
    }

    /// The socket takes `room` of the bytes at once.
    mutating func receive(_ frame: Frame, room: Int) throws {
        switch frame {
        case .data(let offset, let bytes):
            let skipped = try receiver.check(offset, count: bytes.count)
            var fresh = Array(bytes[skipped...])
            if receiver.pending.isEmpty {
                let taken = Array(fresh.prefix(room))
                receiver.passed(taken.count)
                delivered += taken
                fresh.removeFirst(taken.count)
            }
            if !fresh.isEmpty { fresh.withRawSpan { receiver.store($0) } }
        case .fin(let offset):
            try receiver.finish(offset)
        }
        deliverFin()
    }

    mutating func drain(atMost limit: Int) {
        guard limit > 0, !receiver.pending.isEmpty else { return }
        var taken: [UInt8] = []
        _ = unsafe receiver.drain { bytes in
            let count = min(limit, bytes.count)
            unsafe taken = Array(bytes.prefix(count))
            return count
        }
        delivered += taken
        deliverFin()
    }

    private mutating func deliverFin() {
        guard receiver.isFinDue else { return }
        receiver.didDeliverFin()
        hasDeliveredFin = true
    }

    mutating func acknowledge(mayGrow: Bool) {
        now = now + .microseconds(50)
        guard receiver.isAcknowledgmentDue || receiver.owesAcknowledgment else { return }
        back.append(
            receiver.takeAcknowledgment(at: now, roundTrip: .milliseconds(1), mayGrow: mayGrow)
        )
    }

    var isDone: Bool { sender.isFinAcknowledged && receiver.isFinDelivered }
}

@Suite("Streams")
struct StreamLawTests {
    @Test(
        "what is delivered is a prefix, the whole when the end is reported; memory stays within the window"
    )
    func laws() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let pool = BufferPool()
        for _ in 0..<15 {
            let window = [1_024, 16_384, 65_536].randomElement(using: &random) ?? 1_024
            let total = UInt64.random(in: 0..<100_000, using: &random)
            try run(total: total, window: window, &random, pool, "seed \(seed)")
        }
        #expect(pool.used == 0)
    }

    private func run(
        total: UInt64,
        window: Int,
        _ random: inout SeededGenerator,
        _ pool: BufferPool,
        _ seed: Comment
    ) throws {
        var direction = Direction(total: total, window: window, pool)
        var past: [Direction.Frame] = []
        var steps = 0
        while !direction.isDone {
            steps += 1
            try #require(steps < 1_000_000, seed)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: direction.read(atMost: Int.random(in: 1...20_000, using: &random))
            case 1: direction.send(atMost: Int.random(in: 1...70_000, using: &random))
            case 2:
                guard !direction.forth.isEmpty else { break }
                let frame = direction.forth.removeFirst()
                past.append(frame)
                try direction.receive(frame, room: Int.random(in: 0...20_000, using: &random))
            case 3: direction.drain(atMost: Int.random(in: 0...20_000, using: &random))
            case 4: direction.acknowledge(mayGrow: random.chance(50))
            case 5:
                guard !direction.back.isEmpty else { break }
                _ = try direction.sender.acknowledged(direction.back.removeFirst())
            default:
                // A frame that came before comes again, as after a path was changed.
                guard random.chance(10), let frame = past.randomElement(using: &random) else {
                    break
                }
                try direction.receive(frame, room: 20_000)
            }
            let most = direction.receiver.window
            #expect(direction.sender.ring.count <= most, seed)
            #expect(direction.receiver.pending.count <= most, seed)
            #expect(UInt64(direction.delivered.count) == direction.receiver.written, seed)
            let (hasFin, isAcknowledged) = (
                direction.hasDeliveredFin, direction.sender.isFinAcknowledged
            )
            if hasFin { #expect(UInt64(direction.delivered.count) == total, seed) }
            if isAcknowledged { #expect(hasFin, seed) }
        }
        #expect(direction.delivered == Pattern.bytes(0..<total), seed)
        #expect(direction.sender.ring.capacity == 0, "nothing is kept")
    }

    @Test("a receiver refuses gaps, bytes beyond its window, bytes behind a FIN and two FINs")
    func violations() throws {
        let pool = BufferPool()
        var receiver = StreamReceiver(pool, window: 1_000, at: Instant(nanoseconds: 0))
        expect(.gap(offset: 1, expected: 0)) { try receiver.check(1, count: 1) }
        for offset in [UInt64.max, UInt64.max - 1] {
            expect(.gap(offset: offset, expected: 0)) { try receiver.check(offset, count: 65_536) }
            expect(.fin(offset: offset)) { try receiver.finish(offset) }
        }
        expect(.window(end: 1_001, granted: 1_000)) { try receiver.check(0, count: 1_001) }
        receiver.passed(try receiver.check(0, count: 10) + 10)
        expect(.fin(offset: 9)) { try receiver.finish(9) }
        try receiver.finish(20)
        try receiver.finish(20)
        expect(.fin(offset: 21)) { try receiver.finish(21) }
        expect(.afterFin(end: 21, fin: 20)) { try receiver.check(10, count: 11) }
        #expect(try receiver.check(5, count: 10) == 5)
    }

    private func expect<Value>(
        _ violation: StreamViolation,
        _ body: () throws -> Value
    ) {
        do {
            _ = try body()
            Issue.record("no violation")
        } catch {
            #expect(error as? StreamViolation == violation)
        }
    }

    @Test("a sender refuses acknowledgments of what it never sent, and ignores late ones")
    func acknowledgments() throws {
        let pool = BufferPool()
        var sender = StreamSender(pool)
        sender.open(window: 100)
        #expect(sender.fill(atMost: 1_000) { $0.count } == 100)
        #expect(sender.room == 0)
        sender.didSend(60)
        expect(.acknowledgment(offset: 61, sent: 60)) {
            try sender.acknowledged(Acknowledgment(offset: 61, window: 100))
        }
        for offset in [UInt64.max, UInt64.max - 1] {
            expect(.acknowledgment(offset: offset, sent: 60)) {
                try sender.acknowledged(Acknowledgment(offset: offset, window: .max))
            }
        }
        #expect(try sender.acknowledged(Acknowledgment(offset: 50, window: 100)))
        #expect(sender.ring.count == 50)
        #expect(sender.room == 50)
        #expect(try !sender.acknowledged(Acknowledgment(offset: 20, window: 1)))
        #expect(sender.room == 50)
        // The byte after the last is the FIN's, which was not sent.
        expect(.acknowledgment(offset: 101, sent: 60)) {
            try sender.acknowledged(Acknowledgment(offset: 101, window: 0))
        }
    }

    @Test("a sender keeps no more than the largest window, also where acknowledgments were lost")
    func keptAfterResuming() throws {
        let pool = BufferPool()
        let window = WireLimit.window
        var sender = StreamSender(pool)
        sender.open(window: window)
        func fill() -> Int {
            var count = 0
            while sender.room > 0 { count += sender.fill(atMost: 65_536) { $0.count } }
            return count
        }
        #expect(fill() == Int(window))
        sender.didSend(sender.ready)
        let next = sender.sent
        _ = try sender.resume(StreamStanding(next: next, hasFin: false, window: window))
        #expect(fill() == 0)
        _ = try sender.acknowledged(Acknowledgment(offset: 1_000, window: 0))
        #expect(fill() == 1_000)
        _ = try sender.acknowledged(Acknowledgment(offset: next, window: window))
        #expect(fill() == Int(window) - 1_000)
    }

    @Test("a window doubles while it is used up fast, up to 16 MiB, and stays when growth is off")
    func growth() throws {
        let pool = BufferPool()
        var now = Instant(nanoseconds: 0)
        var receiver = StreamReceiver(pool, window: 65_536, at: now)
        /// Uses up one window, in eighths.
        func use(_ mayGrow: Bool, within time: Duration) throws {
            for _ in 0..<8 {
                let count = receiver.window / 8
                _ = try receiver.check(receiver.next, count: count)
                receiver.passed(count)
                let isDue = receiver.isAcknowledgmentDue
                #expect(isDue)
                now = now + time / 8
                let before = receiver.granted
                let frame = receiver.takeAcknowledgment(
                    at: now,
                    roundTrip: .milliseconds(1),
                    mayGrow: mayGrow
                )
                #expect(frame.offset + UInt64(frame.window) >= before, "a grant stays")
            }
        }
        try use(false, within: .microseconds(8))
        #expect(receiver.window == 65_536)
        try use(true, within: .milliseconds(3))
        #expect(receiver.window == 65_536)
        for _ in 0..<9 { try use(true, within: .microseconds(8)) }
        #expect(receiver.window == 16 << 20)
    }
}
