import NetworkModel
import Streaming
import Wire

/// One end of a stream on one carrier: what the frames of one label belong to.
///
/// The subclasses are the ends of whole streams (a client's or a server's socket) and the legs of streams in transit.
/// Each handler is called with frames of its own label only.
class StreamEnd {
    /// Nil when the stream is on no carrier.
    final private(set) var carrier: StreamCarrier?
    /// As this side writes it into frames.
    final private(set) var label: UInt32 = 0
    /// Where it waits for its turn.
    final var line = StreamLine.none
    /// Whether the carrier will ask it for data.
    final var isQueued: Bool { line != .none }
    /// Bytes it may send in its turn; what deficit round robin counts.
    final var deficit = 0
    /// Waits among those of the carrier that have an acknowledgment to send.
    final var owesAcknowledgment = false
    /// Its neighbors in the carrier's queue.
    fileprivate final var nextInQueue: StreamEnd?
    fileprivate final var previousInQueue: StreamEnd?
    /// Whose account it is drawn from, if a neighbor opened it.
    final var charge: StreamCharge?

    /// Whether frames went over the carrier under this label.
    final var isAttached: Bool { carrier != nil }

    /// Called by the carrier that gives the label.
    final func attach(to carrier: StreamCarrier, label: UInt32) {
        self.carrier = carrier
        self.label = label
    }

    /// Gives the label back; what still comes for it is ignored.
    final func detach() {
        carrier?.remove(self)
        carrier = nil
    }

    /// Asks to be called for data in turn.
    final func requestData() { carrier?.enqueue(self) }

    /// Appends the newest acknowledgment of what came from the other side of this proxy.
    func produceAcknowledgment(into buffer: inout FrameBuffer) {}

    /// Appends data frames of about `limit` bytes; true when there is more to send now.
    func produce(into buffer: inout FrameBuffer, limit: Int) -> Bool { false }

    func receive(_ opened: Opened) throws(StreamViolation) { throw .unexpected(.opened) }
    func receive(_ refused: Refused) throws(StreamViolation) { throw .unexpected(.refused) }
    func receiveCancel() throws(StreamViolation) { throw .unexpected(.cancel) }
    /// `payload` is the whole DATA frame; the bytes begin at `DataFrame.headerSize`.
    func receive(data payload: RawSpan, at offset: UInt64) throws(StreamViolation) {
        throw .unexpected(.data)
    }
    func receive(_ acknowledgment: Acknowledgment) throws(StreamViolation) {
        throw .unexpected(.acknowledgment)
    }
    func receive(_ fin: Fin) throws(StreamViolation) { throw .unexpected(.fin) }
    func receive(_ reset: Reset) {}

    /// The neighbor broke the rules of this stream.
    func violated(_ violation: StreamViolation) {}

    /// The carrier is gone, and the label with it.
    func carrierLost() {}

    /// Ends the stream when the other end of its socket owes an acknowledgment and has been silent for `limit`.
    func endIfSilent(for limit: Duration) {}

    /// Whose client or server is at this end; nil in transit.
    var servicePort: ServicePort? { nil }

    /// The proxy stops, or the service was taken out: the stream is reset.
    func shutDown() {}

    /// The loop has ended: let go of everything, tell nobody.
    func abandon() { detach() }
}

/// In which queue of its carrier an end waits.
enum StreamLine: Hashable {
    case none
    /// It has become ready, and goes first, once.
    case fresh
    /// It takes turns with the others.
    case busy
}

/// What a stream that a neighbor opened holds of the neighbor's account.
struct StreamCharge {
    let account: NeighborAccount
    /// With the socket of a server.
    let hasDescriptor: Bool

    /// Draws it; nil when the site's share is used up.
    init?(_ account: NeighborAccount, hasDescriptor: Bool) {
        guard account.take(.streams) else { return nil }
        if hasDescriptor, !account.take(.descriptors) {
            account.give(.streams)
            return nil
        }
        self.account = account
        self.hasDescriptor = hasDescriptor
    }

    /// Gives it back, once.
    func end() {
        account.give(.streams)
        if hasDescriptor { account.give(.descriptors) }
    }
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
