import Balancing
import NetworkModel
import Streaming
import Wire

/// Opens a stream that carries nothing, and gives it up at the first answer.
///
/// The engine keeps it alive until then. It counts nowhere at this proxy; an egress that opens it has a connection for a moment.
final class StreamProbe: StreamOwner {
    enum Outcome: Hashable, Sendable {
        case opened
        case refused(Refused.Reason, by: ProxyID)
        case reset(Reset.Reason)
        case pathLost
        /// Nothing came in time.
        case silent
        /// There is no lane to the first hop, or the last one is not known.
        case notSent
    }

    private unowned let engine: StreamEngine
    private let open: Open
    private let began: Instant
    private var timer = DeadlineTimer()
    private var done: ((Outcome, Duration) -> Void)?
    private lazy var end = LooseEnd(of: self)
    var number: UInt64 = 0
    var seat: UInt32 = 0

    /// Calls `done` once: with what came, and after how long.
    @discardableResult
    init(
        _ service: ServicePort,
        over route: [ProxyID],
        target: SiteID,
        patience: Duration,
        engine: StreamEngine,
        done: @escaping (Outcome, Duration) -> Void
    ) {
        self.engine = engine
        self.done = done
        began = EventLoop.clock()
        let view = engine.view
        open = Open(
            name: StreamName(ingress: view.proxy, number: engine.plane.nextNumber()),
            service: service,
            route: route,
            target: target,
            // Nobody is a client here.
            client: Endpoint(address: .v4(0x7F00_0001), port: 0),
            window: UInt32(StreamReceiver.standardWindow)
        )
        engine.add(self)
        if send() { wait(patience) } else { end(.notSent) }
    }

    private func wait(_ patience: Duration) {
        timer.follow(began + patience, on: engine.loop) { [weak self] _ in
            self?.timer.clear()
            self?.giveUp(.silent)
        }
    }

    /// False where no way begins.
    private func send() -> Bool {
        guard let request = signed(engine.view), let hop = request.route.first,
            let carrier = engine.carrier(to: hop, mayBridge: true), carrier.open(end)
        else { return false }
        end.send(.open) { request.encode(into: &$0) }
        return true
    }

    private func signed(_ view: DataPlaneView) -> Open? {
        guard !view.isSidecar else { return open }
        guard let signature = view.keys.seal(open, signer: view.proxy) else { return nil }
        var open = open
        open.signature = signature
        return open
    }

    // MARK: What comes

    func receive(_ frame: LifeFrame, on end: StreamEnd) {
        switch frame {
        case .opened: giveUp(.opened)
        case .refused(let refused): self.end(.refused(refused.reason, by: refused.by))
        case .reset(let reason): self.end(.reset(reason))
        case .resumed, .cancel: giveUp(.reset(.protocolError))
        }
    }

    func pathLost(_ end: StreamEnd, grace: Duration) { self.end(.pathLost) }
    func violated(_ violation: StreamViolation, on end: StreamEnd) {
        giveUp(.reset(.protocolError))
    }
    func shutDown() { giveUp(.pathLost) }
    func abandon() { end(.pathLost) }

    /// The server of a stream that was opened has got nothing, and gets no more.
    private func giveUp(_ outcome: Outcome) {
        end.send(.cancel)
        end(outcome)
    }

    private func end(_ outcome: Outcome) {
        guard let done = done.take() else { return }
        timer.cancel(on: engine.loop)
        end.detach()
        engine.remove(self)
        done(outcome, EventLoop.clock() - began)
    }

    // MARK: What it has none of

    func produceAcknowledgment(into buffer: inout FrameBuffer, at end: StreamEnd) {}
    func produce(into buffer: inout FrameBuffer, limit: Int, at end: StreamEnd) -> Bool { false }
    // A server that speaks first may be faster than CANCEL is.
    func receive(data payload: RawSpan, at offset: UInt64, on end: StreamEnd) {}
    func receive(_ acknowledgment: Acknowledgment, on end: StreamEnd) {}
    func receive(_ fin: Fin, on end: StreamEnd) {}
    func retry() {}
    func move(isLeaving: Bool) {}
    func endIfSilent(for limit: Duration) {}
    var servicePort: ServicePort? { nil }
}
