import NetworkModel
import Synchronization
import Wire

/// Bytes that one loop has sent to another and that were not delivered yet.
final class BridgeMeter: Sendable {
    /// Data waits while more than this is under way, and no stream is opened while twice as much is.
    static let limit = 1 << 20
    private let count = Atomic<Int>(0)

    var hasRoom: Bool { used < Self.limit }
    var used: Int { count.load(ordering: .relaxed) }

    func add(_ bytes: Int) { count.wrappingAdd(bytes, ordering: .relaxed) }

    /// True when this made room.
    func subtract(_ bytes: Int) -> Bool {
        let (old, new) = count.wrappingSubtract(bytes, ordering: .relaxed)
        return old >= Self.limit && new < Self.limit
    }
}

/// Carries the frames of streams between two loops of this proxy, when the loop that has the client or the lane before
/// has none to the next hop.
///
/// Both ends are one adjacency of the proxy with itself: the other loop is a hop like any other. Frames are collected
/// and posted once per turn. What is under way is bounded: data waits, streams are refused, and of those that are open each
/// adds few control frames, one acknowledgment at a time.
final class LoopBridge: FrameConduit, EventHandler {
    private static let batch = 128 * 1024

    private let index: Int
    private unowned let engine: StreamEngine
    private let meter = BridgeMeter()
    private var outgoing = FrameBuffer()
    private var wantsData = false
    private var registration: RegistrationID?
    private(set) lazy var carrier = StreamCarrier(
        self,
        neighbor: engine.view.proxy,
        isSidecar: false,
        isBridge: true,
        knowsResume: true,
        knowsEarly: true,
        engine: engine
    )

    init(to index: Int, engine: StreamEngine) {
        self.index = index
        self.engine = engine
        registration = engine.loop.register(self)
    }

    var roundTrip: Duration? { .milliseconds(1) }
    var leastRoundTrip: Duration? { nil }

    var isBacklogged: Bool { meter.used + outgoing.count >= 2 * BridgeMeter.limit }

    func send(_ type: UInt8, label: UInt32, _ payload: [UInt8]) {
        outgoing.append(type: type, label: label, payload: payload)
        requestFlush()
    }

    func send(_ type: UInt8, label: UInt32, _ payload: RawSpan) {
        outgoing.append(type: type, label: label, payload: payload)
        requestFlush()
    }

    func requestData() {
        wantsData = true
        requestFlush()
    }

    /// The other end is this proxy: a frame that breaks the rules is a bug here, and the streams on it are lost.
    func close(_ closing: LaneClosing) {
        Mishap.tell("a bridge was closed: \(closing)")
        end()
        let own = engine.loop.index
        // Its other end has streams on it too; the next stream makes a new bridge.
        engine.plane.mailboxes[index].post { loop in
            loop.local(StreamEngine.self)?.bridgeWasClosed(to: own)
        }
    }

    /// The streams on it are lost; it carries nothing any more.
    func end() {
        carrier.closed()
        if let registration { engine.loop.deregister(registration) }
        registration = nil
    }

    private func requestFlush() {
        if let registration { engine.loop.callAtTurnEnd(registration) }
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        if wantsData, meter.hasRoom {
            wantsData = false
            if carrier.produceData(into: &outgoing, limit: Self.batch) { wantsData = true }
        }
        guard !outgoing.isEmpty else { return }
        let bytes = unsafe outgoing.withBytes { unsafe [UInt8]($0) }
        outgoing.removeAll()
        meter.add(bytes.count)
        let (own, meter) = (engine.loop.index, meter)
        engine.plane.mailboxes[index].post { loop in
            loop.local(StreamEngine.self)?.deliver(bytes, from: own, meter)
        }
        if wantsData, meter.hasRoom, let registration { loop.resume(registration) }
    }

    /// Takes the frames of one letter.
    func deliver(_ bytes: [UInt8], _ sent: BridgeMeter) {
        bytes.withRawSpan { span in
            var offset = 0
            while offset < bytes.count, let header = try? FrameHeader(span, at: offset) {
                let start = offset + FrameHeader.size
                offset = start + header.length
                guard let type = FrameType(rawValue: header.type) else { continue }
                carrier.received(type, label: header.label, span.extracting(start..<offset))
            }
        }
        guard sent.subtract(bytes.count) else { return }
        let own = engine.loop.index
        engine.plane.mailboxes[index].post { loop in
            loop.local(StreamEngine.self)?.bridgeHasRoom(to: own)
        }
    }
}
