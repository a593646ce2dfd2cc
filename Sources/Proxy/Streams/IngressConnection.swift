import Balancing
import NetworkModel
import SiteConfiguration
import Streaming
import Wire

/// A client's connection, from accept to its end: picks a target, and another one for as long as nobody could tell.
///
/// Another target is tried while no byte and no FIN of the client was sent on and nothing came for the client: after a
/// refusal, a time-out, a lost lane or path, a reset; within twice `timeouts.connect`, and until five targets have said no. One
/// that was open for longer than `timeouts.connect` and is lost untouched begins anew. Then, and whenever a stream with
/// bytes is lost, the client gets a RST.
final class IngressConnection: SocketStream {
    enum Phase {
        /// Between two attempts.
        case choosing
        case connecting(LocalConnector)
        /// The server is of this site.
        case relaying(PlainRelay, ServerPick)
        /// OPEN was sent.
        case opening(Open, TimerID)
        case streaming
        case ended
    }

    private static let failureLimit = 5
    /// The first wait for routing to learn of a loss; doubles.
    private static let pause: Duration = .milliseconds(20)

    let client: Endpoint
    let service: SharedService
    let timeouts: ServiceTimeouts
    /// Until when another target is tried; set anew when a target that had taken the connection loses it.
    private var deadline: Instant
    var phase = Phase.choosing
    /// How often a target said no, or took the connection and lost it.
    private var failures = 0
    /// How often routing was waited for.
    private var pauses = 0
    private var pick: Pick?
    /// The way of the attempt that waits for an answer.
    var way: WayPick?
    /// When the egress of `way` was asked.
    var askedAt = Instant(nanoseconds: 0)
    /// Ways to the picked target that were tried for this pick.
    var triedRoutes: [[ProxyID]] = []
    /// Targets that said no.
    private var refused: [SiteID] = []
    /// Targets that could not be asked: tried again when no other is left.
    private var unreached: [SiteID] = []
    /// Servers of this site that took the connection in this attempt and reset it at once.
    var resetBy: [Endpoint] = []
    /// When a target took the connection last.
    private var openedAt: Instant?
    /// The time limit of a stream, or the wait for routing.
    private var timer: TimerID?

    init(
        _ socket: consuming FileDescriptor,
        client: Endpoint,
        entry: ServiceEntry,
        engine: StreamEngine
    ) {
        self.client = client
        service = entry.shared
        timeouts = entry.timeouts
        deadline = engine.loop.now + timeouts.connect * 2
        super.init(socket: socket, engine: engine, pool: engine.pool)
    }

    /// Makes the first attempt.
    func start() { next() }

    // MARK: Attempts

    private func next() {
        phase = .choosing
        let now = engine.loop.now
        guard failures < Self.failureLimit, now < deadline else { return fail() }
        guard let pick = service.pick(excluding: refused + unreached, at: now) else {
            return waitForRouting()
        }
        self.pick = pick
        resetBy = []
        triedRoutes = []
        let view = engine.view
        if pick.site == view.proxy.site, !view.isSidecar {
            connect()
        } else if !open(pick) {
            unreachable()
        }
    }

    /// Nobody is left: those that could not be reached may be in a moment, over another path.
    private func waitForRouting() {
        guard !unreached.isEmpty else { return fail() }
        unreached = []
        let delay = Self.pause * (1 << min(pauses, 4))
        pauses += 1
        cancelTimer()
        timer = engine.loop.schedule(after: delay) { [self] _ in
            timer = nil
            next()
        }
    }

    /// The target did not take it, and that speaks against the target.
    func refused(_ reason: FailoverReason) {
        guard let pick = pick.take() else { return }
        service.failed(pick, reason: reason, at: engine.loop.now)
        failures += 1
        refused.append(pick.site)
        next()
    }

    /// One gateway of the target takes nothing for this service: what it says is no word of the others, which are asked first.
    private func turnedAway(by gateway: ProxyID, _ reason: FailoverReason) {
        guard let pick else { return }
        triedRoutes += service.ways(to: pick.site)?.all.filter { $0.last == gateway } ?? []
        if !tryAnotherWay() { refused(reason) }
    }

    /// The gateway is about to end: others are asked, or waited for until routing knows them.
    private func turnedAwayByDrain(_ gateway: ProxyID) {
        wayFailed(.draining)
        guard let known = pick else { return }
        triedRoutes += service.ways(to: known.site)?.all.filter { $0.last == gateway } ?? []
        guard !tryAnotherWay(), let pick = pick.take() else { return }
        service.failed(pick, reason: .draining, at: engine.loop.now)
        unreached.append(pick.site)
        next()
    }

    /// Asks the same target over another way; false when there is none, or no time for it.
    func tryAnotherWay() -> Bool {
        guard let pick, engine.loop.now < deadline else { return false }
        return open(pick)
    }

    /// The attempt got lost on its way: another way, or the target could not be asked.
    private func lostOnTheWay(_ reason: FailoverReason? = nil) {
        leaveStream()
        wayFailed(reason)
        if !tryAnotherWay() { unreachable() }
    }

    /// The target could not be asked.
    func unreachable() {
        guard let pick = pick.take() else { return }
        service.release(pick)
        unreached.append(pick.site)
        next()
    }

    /// The target has ended the connection for reasons of its own: all are candidates, itself included.
    func again() {
        guard let pick = pick.take() else { return }
        service.release(pick)
        next()
    }

    /// A target that had taken the connection loses it, and nobody could tell: another may take it.
    ///
    /// True when that comes so soon after it was taken that it is an answer to the attempt. Else what the attempts before
    /// had met is long past, and counts no more.
    func beginAnew() -> Bool {
        let now = engine.loop.now
        deadline = now + timeouts.connect * 2
        failures += 1
        if wasOpenedJustNow { return true }
        failures = 0
        pauses = 0
        refused = []
        unreached = []
        return false
    }

    /// Whether what the target does now is an answer to the attempt to connect.
    var wasOpenedJustNow: Bool {
        openedAt.map { engine.loop.now - $0 <= timeouts.connect } ?? false
    }

    // MARK: A server elsewhere

    var isWatched = false

    override func didUnwatch() { isWatched = false }

    override func receive(_ opened: Opened) throws(StreamViolation) {
        guard case .opening(let open, let limit) = phase else { throw .unexpected(.opened) }
        let view = engine.view
        let isGenuine =
            view.isSidecar
            || view.keys.isGenuine(
                .opened,
                to: open,
                signer: view.proxy,
                by: opened.egress,
                mac: opened.mac
            )
        guard isGenuine else {
            cancel()
            return lostOnTheWay()
        }
        engine.loop.cancel(limit)
        wayAnswered()
        phase = .streaming
        didOpen()
        self.opened(window: opened.window)
        arm()
    }

    override func receive(_ refusal: Refused) throws(StreamViolation) {
        guard case .opening(let open, _) = phase else { throw .unexpected(.refused) }
        let view = engine.view
        // What a hop on the way says is no word of the target.
        let isGenuine =
            view.isSidecar
            ? refusal.by == open.route.last
            : view.keys.isGenuine(
                .refused,
                to: open,
                signer: view.proxy,
                by: refusal.by,
                reason: refusal.reason,
                mac: refusal.mac
            )
        guard isGenuine else {
            return lostOnTheWay(refusal.reason == .noRoute ? .linkLost : nil)
        }
        leaveStream()
        if refusal.reason == .draining { return turnedAwayByDrain(refusal.by) }
        wayAnswered()
        switch refusal.reason {
        case .connectRefused: refused(.connectRefused)
        case .connectTimeout: refused(.connectTimeout)
        case .noEndpoint, .noService: turnedAway(by: refusal.by, .noEndpoints)
        default: unreachable()
        }
    }

    /// Whether the stream could be opened at another target without anybody noticing.
    private var isUntouched: Bool { sender.isUntouched && receiver.isUntouched }

    override func carrierLost() {
        switch phase {
        case .opening: return lostOnTheWay()
        case .streaming:
            guard isUntouched else { return end(.lost(hadBytes: true)) }
            _ = beginAnew()
        default: return
        }
        leaveStream()
        unreachable()
    }

    override func streamReset(_ reason: Reset.Reason) {
        switch phase {
        case .opening: lostOnTheWay()
        case .streaming:
            // A server that resets an exchange ends it as it likes: nothing was lost with its site.
            guard isUntouched else {
                return end(reason == .endpoint ? .cut(hadBytes: true) : .lost(hadBytes: true))
            }
            leaveStream()
            let isAnswer = beginAnew()
            // The path was lost, or the servers took it and reset it: at once, or when it had been idle for a while.
            guard reason == .endpoint else { return unreachable() }
            if isAnswer { refused(.connectRefused) } else { again() }
        default: break
        }
    }

    override func socketFailed() {
        switch phase {
        // A failure is told once: whoever swallows it takes what follows for an orderly end.
        case .choosing: break
        case .connecting(let connector): connector.cancel()
        case .relaying(let relay, _):
            // It was noticed while the client was still ours; ends in `relayEnded`.
            return relay.abort()
        case .opening: cancel()
        case .streaming:
            if isUntouched { cancel() } else { sendReset(.endpoint) }
        case .ended: return
        }
        end(.client)
    }

    override func streamFinished() { end(.finished) }

    override var servicePort: ServicePort? { service.service }

    override func didTouch() { service.touched() }

    override func endIfSilent(for limit: Duration) {
        guard case .relaying(let relay, _) = phase else { return super.endIfSilent(for: limit) }
        relay.endIfSilent(for: limit)
    }

    // MARK: Time limits

    override func directionEnded() { arm() }

    /// Waits for the time limit that holds now; zero means never.
    private func arm() {
        cancelTimer()
        guard case .streaming = phase else { return }
        let isHalfClosed = sender.finOffset != nil || receiver.isFinDelivered
        let limit = isHalfClosed ? timeouts.halfClosed : timeouts.idle
        guard limit > .zero else { return }
        timer = engine.loop.schedule(at: lastMoved + limit) { [self] loop in
            timer = nil
            // Bytes that moved meanwhile put the limit off; nobody sets a timer per byte.
            if lastMoved + limit > loop.now { return arm() }
            sendReset(.idle)
            end(.cut(hadBytes: true))
        }
    }

    func cancelTimer() {
        if let timer { engine.loop.cancel(timer) }
        timer = nil
    }

    // MARK: The end

    enum Ending {
        case finished
        /// The client reset its connection or vanished.
        case client
        /// The target or the path was lost.
        case lost(hadBytes: Bool)
        /// This proxy cut it, or found no other target for one that had been open.
        case cut(hadBytes: Bool)
    }

    func didOpen() {
        let now = engine.loop.now
        if let pick { service.opened(pick, at: now) }
        if openedAt == nil { service.count(.opened) }
        openedAt = now
        lastMoved = now
    }

    /// No target took it, or none after the one that lost it.
    private func fail() {
        guard openedAt == nil else { return end(.cut(hadBytes: true)) }
        service.count(.failed)
        end(.client)
    }

    func end(_ ending: Ending) {
        if case .ended = phase { return }
        if case .opening(_, let limit) = phase { engine.loop.cancel(limit) }
        wayFailed(nil)
        phase = .ended
        cancelTimer()
        detach()
        close()
        service.left(isTouched: isTouched)
        if let pick = pick.take() {
            if case .lost = ending {
                service.lost(pick, at: engine.loop.now)
            } else {
                service.release(pick)
            }
        }
        switch ending {
        case .lost(hadBytes: true), .cut(hadBytes: true): service.count(.interrupted)
        default: break
        }
        if openedAt != nil { service.count(.closed) }
        engine.remove(self)
    }

    override func shutDown() {
        switch phase {
        case .choosing: break
        case .connecting(let connector): connector.cancel()
        case .relaying(let relay, _):
            // Ends in `relayEnded`.
            return relay.abort()
        case .opening: cancel()
        case .streaming: sendReset(.shutdown)
        case .ended: return
        }
        end(.cut(hadBytes: openedAt != nil))
    }
}
