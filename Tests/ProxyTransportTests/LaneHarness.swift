import CertificateFixtures
import NetworkModel
import ProxyContract
import Synchronization
import TLS
import Wire

@testable import Proxy

/// What one end of a lane has seen, for the test's thread.
final class LaneLog: Sendable {
    struct Frame: Equatable, Sendable {
        let type: UInt8
        let label: UInt32
        let payload: [UInt8]
    }

    struct State: Sendable {
        var isEstablished = false
        var neighbor: NeighborIdentity?
        var roundTrip: Duration?
        var frames: [Frame] = []
        var keepsFrames = true
        var frameCount = 0
        var byteCount = 0
        var checksum: UInt64 = 0
        var reasons: [LaneCloseReason] = []
        var closedAt: Instant?
        var loopIndex = -1
    }

    private let state = Mutex(State())

    var value: State { state.withLock { $0 } }

    func update(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
}

/// One end of a lane in a test; confined to its loop, found there by `loop.local`.
final class LaneEnd: LaneDelegate {
    let log: LaneLog
    var lane: Lane?
    /// Appends data frames; nil for none.
    var produce: ((Lane, inout FrameBuffer, Int) -> Void)?
    var receive: ((Lane, UInt8, UInt32, [UInt8]) -> Void)?
    var onEstablished: ((Lane) -> Void)?

    init(_ log: LaneLog) { self.log = log }

    func laneEstablished(_ lane: Lane) {
        log.update {
            $0.isEstablished = true
            $0.neighbor = lane.neighbor
        }
        onEstablished?(lane)
    }

    func lane(_ lane: Lane, received type: UInt8, label: UInt32, payload: RawSpan) {
        let bytes = unsafe payload.withUnsafeBytes { unsafe Array($0) }
        log.update { state in
            state.frameCount += 1
            state.byteCount += bytes.count
            if !bytes.isEmpty { state.checksum = checksum(bytes, state.checksum) }
            state.roundTrip = lane.roundTrip
            if state.keepsFrames {
                state.frames.append(LaneLog.Frame(type: type, label: label, payload: bytes))
            }
        }
        receive?(lane, type, label, bytes)
    }

    func laneProduceData(_ lane: Lane, into buffer: inout FrameBuffer, limit: Int) -> Bool {
        let before = buffer.count
        produce?(lane, &buffer, limit)
        return buffer.count > before
    }

    func laneClosed(_ lane: Lane, _ reason: LaneCloseReason) {
        log.update {
            $0.reasons.append(reason)
            $0.closedAt = EventLoop.clock()
        }
        self.lane = nil
    }
}

/// A hash in which order matters; by zlib's Adler-32 idea over words, as fast as a debug build allows.
func checksum(_ bytes: [UInt8], _ start: UInt64 = 0) -> UInt64 {
    unsafe bytes.withUnsafeBytes { bytes in
        var (low, high) = (start ^ UInt64(bytes.count), start)
        var offset = 0
        while offset + 8 <= bytes.count {
            low &+= unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            high = (high &+ low) &* 0x100_0000_01B3
            offset += 8
        }
        for byte in unsafe Array(bytes[offset...]) {
            low &+= UInt64(byte)
            high = (high &+ low) &* 0x100_0000_01B3
        }
        return low ^ high
    }
}

/// Both ends of a lane over loopback: the dialer on one loop, the acceptor on the other.
struct LanePair {
    let dialer = LaneLog()
    let acceptor = LaneLog()
    let dialerLoop: EventLoopThread
    let acceptorLoop: EventLoopThread
    var dialerContext: TLSContext
    var acceptorContext: TLSContext
    var expectedSite: SiteID?
    /// Slow to judge: a busy machine must not end a lane of a test that is about something else.
    var health = HealthParameters(heartbeat: .milliseconds(100), misses: 50)
    /// Where to dial instead of the acceptor's own port.
    var detour: (@Sendable (UInt16) -> UInt16)?

    init(_ dialerLoop: EventLoopThread, _ acceptorLoop: EventLoopThread) throws {
        self.dialerLoop = dialerLoop
        self.acceptorLoop = acceptorLoop
        dialerContext = try FixtureSite("dialer").context()
        acceptorContext = try FixtureSite("acceptor").context()
    }

    /// Listens, dials; `prepare` runs on each end's loop before its lane begins.
    func connect(
        dialerEnd prepareDialer: @escaping @Sendable (LaneEnd) -> Void = { _ in },
        acceptorEnd prepareAcceptor: @escaping @Sendable (LaneEnd) -> Void = { _ in }
    ) -> UInt16 {
        let accepting = Lane.Parameters(context: acceptorContext, health: health)
        let log = acceptor
        let port = acceptorLoop.run { loop -> UInt16 in
            let listener = try? Listener(address: loopback, port: 0, purpose: .lane, on: loop) {
                socket,
                remote in
                let end = LaneEnd(log)
                log.update { $0.loopIndex = loop.index }
                prepareAcceptor(end)
                loop.setLocal(end)
                let lane = Lane(
                    accepting: socket,
                    from: remote,
                    accepting,
                    delegate: end,
                    on: loop
                )
                end.lane = lane
            }
            guard let listener else { return 0 }
            loop.setLocal(listener)
            return listener.endpoint.port
        }
        guard let port, port != 0 else { return 0 }
        dial(detour?(port) ?? port, prepareDialer)
        return port
    }

    func dial(_ port: UInt16, _ prepare: @escaping @Sendable (LaneEnd) -> Void = { _ in }) {
        let parameters = Lane.Parameters(
            context: dialerContext,
            health: health,
            expectedSites: expectedSite.map { [$0] }
        )
        let log = dialer
        _ = dialerLoop.run { loop -> Bool in
            let end = LaneEnd(log)
            prepare(end)
            loop.setLocal(end)
            end.lane = Lane(
                dialing: Endpoint(address: loopback, port: port),
                parameters,
                delegate: end,
                on: loop
            )
            return true
        }
    }

    var isEstablished: Bool { dialer.value.isEstablished && acceptor.value.isEstablished }
    var isClosed: Bool { !dialer.value.reasons.isEmpty && !acceptor.value.reasons.isEmpty }
}

extension EventLoopThread {
    /// Runs `body` with this loop's end of the lane.
    func withEnd(_ body: @escaping @Sendable (LaneEnd, Lane) -> Void) {
        _ = run { loop -> Bool in
            guard let end = loop.local(LaneEnd.self), let lane = end.lane else { return false }
            body(end, lane)
            return true
        }
    }

    func closeListener() {
        _ = run { loop -> Bool in
            loop.local(Listener.self)?.close()
            return true
        }
    }
}
