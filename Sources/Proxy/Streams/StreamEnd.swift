import NetworkModel
import Streaming
import Wire

/// One end of a stream on one carrier: what the frames of one label belong to.
///
/// The end of a whole stream, which is part of the connection with the client's or the server's socket, or one side of a
/// stream in transit.
class StreamEnd {
    /// Nil when the stream is on no carrier.
    final private(set) var carrier: StreamCarrier?
    /// As this side writes it into frames.
    final private(set) var label: UInt32 = 0
    /// Bytes of long frames, either way, since `countedSince`; more than none on a lane for bulk since the last look at it.
    final var longBytes: Int32 = 0
    /// In units of the carrier.
    final var countedSince: UInt32 = 0
    /// Bytes it may send in its turn; what deficit round robin counts.
    final var deficit: UInt16 = 0
    /// Where it waits for its turn.
    final var line = StreamLine.none
    final private var marks: Marks = []
    /// Its neighbors in the carrier's queue.
    final fileprivate var nextInQueue: StreamEnd?
    final fileprivate var previousInQueue: StreamEnd?

    /// Called with frames of this label only.
    var owner: any StreamOwner { preconditionFailure("an end of nothing") }

    /// In one byte.
    private struct Marks: OptionSet {
        let rawValue: UInt8

        static let waitsForBulk = Marks(rawValue: 1)
        static let owesAcknowledgment = Marks(rawValue: 2)
        static let holdsPlace = Marks(rawValue: 4)
        static let isWholePath = Marks(rawValue: 8)
    }

    /// Whether the carrier will ask it for data.
    final var isQueued: Bool { line != .none }

    /// It has proved bulky, and there was no lane for it.
    final var waitsForBulk: Bool {
        get { marks.contains(.waitsForBulk) }
        set { if newValue { marks.insert(.waitsForBulk) } else { marks.remove(.waitsForBulk) } }
    }

    /// Waits among those of the carrier that have an acknowledgment to send.
    final var owesAcknowledgment: Bool {
        get { marks.contains(.owesAcknowledgment) }
        set {
            if newValue {
                marks.insert(.owesAcknowledgment)
            } else {
                marks.remove(.owesAcknowledgment)
            }
        }
    }

    /// It waits among the busy ones and has not asked for data since it had its turn.
    final var holdsPlace: Bool {
        get { marks.contains(.holdsPlace) }
        set { if newValue { marks.insert(.holdsPlace) } else { marks.remove(.holdsPlace) } }
    }

    /// The other end of the stream is the neighbor; false as well where that is not known.
    final var isWholePath: Bool {
        get { marks.contains(.isWholePath) }
        set { if newValue { marks.insert(.isWholePath) } else { marks.remove(.isWholePath) } }
    }

    /// Whether a window of this size is as much as the path needs beside others.
    final func needsNoMore(than window: Int) -> Bool {
        isWholePath && carrier?.needsNoMore(than: window) == true
    }

    /// Whether frames go over a carrier under this label.
    final var isAttached: Bool { carrier != nil }

    /// Called by the carrier that gives the label.
    final func attach(to carrier: StreamCarrier, label: UInt32) {
        self.carrier = carrier
        self.label = label
        waitsForBulk = false
        isWholePath = false
        deficit = 0
        longBytes = 0
        countedSince = carrier.bulkTime
    }

    /// Gives the label back; what still comes for it is ignored.
    final func detach() {
        carrier?.remove(self)
        carrier = nil
    }

    /// Goes on under the label of another end of the same stream, which nobody has asked for data yet.
    final func takePlace(of other: StreamEnd) {
        guard let carrier = other.carrier else { return }
        carrier.replace(other, by: self)
        other.carrier = nil
        attach(to: carrier, label: other.label)
    }

    /// Asks to be called for data in turn.
    final func requestData() { carrier?.enqueue(self) }

    /// Queues a control frame that `body` writes; none when the stream is on no carrier.
    final func send(_ type: FrameType, _ body: (inout FrameWriter) -> Void = { _ in }) {
        carrier?.conduit.send(type, label: label, body)
    }
}

extension StreamEnd {
    /// Ends the attachment, not the stream, and gives the label back.
    func leave() {
        guard let carrier else { return }
        if carrier.knowsResume {
            send(.detached)
        } else {
            // To that neighbor a lost path is the end.
            send(.reset) { Reset(reason: .pathLost).encode(into: &$0) }
        }
        detach()
    }
}

/// An end that is none of a connection: one side of a stream in transit, or an attempt.
final class LooseEnd: StreamEnd {
    private unowned let stream: any StreamOwner
    override var owner: any StreamOwner { stream }

    /// `owner` has this end.
    init(of owner: any StreamOwner) { stream = owner }
}

/// Has one stream at this loop, or a stream in transit: carries out what its state machine says.
protocol StreamOwner: AnyObject {
    /// Its number among the streams of its loop, in the order in which they began.
    var number: UInt64 { get set }
    /// Where its loop has it.
    var seat: UInt32 { get set }

    /// Appends the newest acknowledgment of what came from the other side of this proxy.
    func produceAcknowledgment(into buffer: inout FrameBuffer, at end: StreamEnd)

    /// Appends data frames of about `limit` bytes; true when there is more to send now.
    func produce(into buffer: inout FrameBuffer, limit: Int, at end: StreamEnd) -> Bool

    /// `payload` is the whole DATA frame; the bytes begin at `DataFrame.headerSize`.
    func receive(
        data payload: RawSpan,
        at offset: UInt64,
        on end: StreamEnd
    ) throws(StreamViolation)
    func receive(_ acknowledgment: Acknowledgment, on end: StreamEnd) throws(StreamViolation)
    func receive(_ fin: Fin, on end: StreamEnd) throws(StreamViolation)
    func receive(_ frame: LifeFrame, on end: StreamEnd)

    /// The neighbor broke the rules of this stream.
    func violated(_ violation: StreamViolation, on end: StreamEnd)

    /// The label is gone, and with it the path; the stream may be without one for `grace`.
    func pathLost(_ end: StreamEnd, grace: Duration)

    /// A way that was missing may be there.
    func retry()

    /// These proxies have ended for certain: whoever waits for one of them need not.
    func proxiesEnded(_ proxies: Set<ProxyID>)

    /// Goes over to a better path without a loss, if there is one; `isLeaving`: to any, for the present one is about to end.
    func move(isLeaving: Bool)

    /// Much has crossed `end` lately: the stream takes a lane for bulk, if it is for this owner to say and there is one.
    func provedBulky(at end: StreamEnd)

    /// Nothing long has crossed `end`, on a lane for bulk, for a while.
    func restedFromBulk(at end: StreamEnd)

    /// Ends the stream when the other end of its socket owes an acknowledgment and has been silent for `limit`; looks after the
    /// timer of a deadline that has come near.
    func endIfSilent(for limit: Duration)

    /// Whose client or server is at this end; nil in transit.
    var servicePort: ServicePort? { get }

    /// The proxy stops, or the service was taken out: the stream is reset.
    func shutDown()

    /// The loop has ended: let go of everything, tell nobody.
    func abandon()

    /// Tells the service what was moved since the last time, if it is a client's connection.
    func tellMoved()
}

extension StreamOwner {
    func proxiesEnded(_ proxies: Set<ProxyID>) {}
    func tellMoved() {}
    // The ingress alone chooses lanes.
    func provedBulky(at end: StreamEnd) {}
    func restedFromBulk(at end: StreamEnd) {}
}

/// A frame that changes what a stream is.
enum LifeFrame {
    case opened(Opened)
    case resumed(Resumed)
    case refused(Refused)
    case cancel
    case reset(Reset.Reason)
}

/// In which queue of its carrier an end waits.
enum StreamLine: Hashable {
    case none
    /// It has become ready, and goes first, once.
    case fresh
    /// It takes turns with the others.
    case busy
}

/// A queue of ends, linked both ways through the ends themselves: every operation takes constant time.
struct StreamEndQueue {
    private var head: StreamEnd?
    private var tail: StreamEnd?

    var isEmpty: Bool { head == nil }

    mutating func append(_ end: StreamEnd) {
        end.previousInQueue = tail
        if let tail { tail.nextInQueue = end } else { head = end }
        tail = end
    }

    mutating func popFirst() -> StreamEnd? {
        guard let first = head else { return nil }
        remove(first)
        return first
    }

    /// Takes one out that is in this queue.
    mutating func remove(_ end: StreamEnd) {
        let (previous, next) = (end.previousInQueue, end.nextInQueue)
        if let previous { previous.nextInQueue = next } else { head = next }
        if let next { next.previousInQueue = previous } else { tail = previous }
        end.previousInQueue = nil
        end.nextInQueue = nil
    }
}
