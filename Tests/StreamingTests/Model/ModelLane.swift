import NetworkModel
import Wire

@testable import Streaming

/// A frame on its way, with the stream that its sender meant.
struct ModelFrame {
    let type: FrameType
    let label: UInt32
    let payload: [UInt8]
    let name: StreamName
}

enum ModelLetter {
    case frame(ModelFrame)
    /// The lane has ended: nothing follows.
    case closed
}

/// One proxy's side of a lane: the streams on it, and what is on its way to it.
final class ModelSide {
    let index: Int
    /// Whose side it is.
    let proxy: ProxyID
    unowned let network: ModelNetwork
    var table = LabelTable<ModelEnd>()
    var inbox: [ModelLetter] = []
    /// What this side sends arrives.
    var isWhole = true
    /// It has not heard of the lane's end.
    var isUp = true

    init(_ index: Int, _ proxy: ProxyID, _ network: ModelNetwork) {
        self.index = index
        self.proxy = proxy
        self.network = network
    }

    /// The other proxy's.
    var peer: ModelSide { network.sides[index ^ 1] }

    func send(_ type: FrameType, label: UInt32, _ payload: [UInt8], of name: StreamName) {
        guard isWhole else { return }
        let frame = ModelFrame(type: type, label: label, payload: payload, name: name)
        peer.inbox.append(.frame(frame))
    }

    /// Nothing more arrives than the first `kept` letters.
    func breakOff(after kept: Int) {
        peer.isWhole = false
        if inbox.count > kept { inbox.removeLast(inbox.count - kept) }
        inbox.append(.closed)
    }
}

/// One end of a stream on one side of a lane.
final class ModelEnd {
    unowned let owner: any ModelOwner
    let name: StreamName
    /// It has this end in its table.
    private(set) weak var side: ModelSide?
    private(set) var label: UInt32 = 0
    var owesAcknowledgment = false

    init(of owner: any ModelOwner, _ name: StreamName) {
        self.owner = owner
        self.name = name
    }

    func open(on side: ModelSide) -> Bool {
        guard side.isUp, let label = side.table.open(self) else { return false }
        (self.side, self.label) = (side, label)
        return true
    }

    func accept(on side: ModelSide, label: UInt32) {
        guard let (answer, replaced) = side.table.accept(label, self) else {
            return side.network.violate("an opener's label with the answer's bit")
        }
        if replaced != nil { side.network.violate("a label was used twice") }
        (self.side, self.label) = (side, answer)
    }

    func detach() {
        side?.table.remove(self, label: label)
        side = nil
    }

    /// Ends the attachment, not the stream.
    func leave() {
        send(.detached)
        detach()
    }

    /// The lane has ended, and its table with it.
    func lost() { side = nil }

    func send(_ type: FrameType, _ payload: [UInt8] = []) {
        side?.send(type, label: label, payload, of: name)
    }

    /// Sends the frames that `body` appends.
    func sendFrames(_ body: (inout FrameBuffer, UInt32) -> Void) {
        var buffer = FrameBuffer()
        body(&buffer, label)
        let bytes = unsafe buffer.withBytes { unsafe [UInt8]($0) }
        bytes.withRawSpan { span in
            var offset = 0
            while offset < bytes.count, let header = try? FrameHeader(span, at: offset) {
                let start = offset + FrameHeader.size
                offset = start + header.length
                guard let type = FrameType(rawValue: header.type) else { return }
                send(type, Array(bytes[start..<offset]))
            }
        }
    }
}

/// Has a state machine, and does what it says in the model.
protocol ModelOwner: AnyObject {
    func receive(_ frame: ModelFrame, on end: ModelEnd)
    /// The label is gone, and the path with it.
    func pathLost(_ end: ModelEnd)
    var nextDeadline: Instant? { get }
    func deadline()
    /// Something to send waits on that end.
    func hasMore(on end: ModelEnd) -> Bool
    func produce(on end: ModelEnd, atMost limit: Int)
    var ends: [ModelEnd] { get }
    /// What tells it from others, for searches that visit each state once.
    var fingerprint: [UInt64] { get }
    var broken: String? { get }
}

/// A client's or a server's socket.
final class ModelSocket {
    /// What it has to say, then FIN.
    let words: [UInt8]
    private(set) var given = 0
    private(set) var hasGivenEnd = false
    private(set) var heard: [UInt8] = []
    private(set) var hasHeardEnd = false
    /// It reset the connection itself.
    var hasFailed = false
    /// Nil while the proxy has it.
    private(set) var closedInOrder: Bool?
    /// How many bytes it takes before it blocks.
    var appetite = Int.max

    init(_ words: [UInt8]) { self.words = words }

    var canGive: Bool { !hasGivenEnd && closedInOrder == nil && !hasFailed }

    func give(into space: RingSpace) -> Int {
        let count = min(space.count, words.count - given)
        space.copyBytes(from: Array(words[given..<given + count]))
        given += count
        return count
    }

    func giveEnd() { hasGivenEnd = true }

    func hear(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = min(bytes.count, appetite)
        unsafe heard += Array(bytes[..<count])
        if appetite != .max { appetite -= count }
        return count
    }

    func hearEnd() { hasHeardEnd = true }

    func close(inOrder: Bool) {
        if closedInOrder == nil { closedInOrder = inOrder }
    }

    var fingerprint: [UInt64] {
        [
            UInt64(given), hasGivenEnd ? 1 : 0, UInt64(heard.count), hasHeardEnd ? 1 : 0,
            hasFailed ? 1 : 0, closedInOrder.map { $0 ? 2 : 1 } ?? 0,
            UInt64(clamping: appetite == .max ? 99 : appetite),
        ]
    }
}
