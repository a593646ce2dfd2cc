import Balancing
import NetworkModel
import SiteConfiguration
import Streaming
import Wire

/// The attempt to open a stream to a server elsewhere.
extension IngressConnection {
    /// Sends OPEN on the next way to the target that was not tried; false when there is none.
    func open(_ pick: Pick) -> Bool {
        guard let ways = service.ways(to: pick.site) else { return false }
        let view = engine.view
        while let choice = nextWay(ways, pick) {
            let route = choice.route
            triedRoutes.append(route)
            guard let hop = route.first, let carrier = engine.carrier(to: hop, mayBridge: true)
            else { continue }
            var open = Open(
                name: StreamName(ingress: view.proxy, number: engine.plane.nextNumber()),
                service: service.service,
                route: route,
                target: pick.site,
                client: client,
                window: UInt32(receiver.window)
            )
            if !view.isSidecar {
                guard let signature = view.keys.seal(open, signer: view.proxy) else { continue }
                open.signature = signature
            }
            guard watchClient(), carrier.open(self) else { continue }
            countWindow()
            draw(on: engine.pool(of: carrier.account))
            carrier.conduit.send(.open, label: label) { open.encode(into: &$0) }
            // A living egress has said by then that its server is silent.
            let limit = timeouts.connect + min(timeouts.connect / 4, Self.answerTime)
            let patience = choice.patience(roundTrip: carrier.conduit.roundTrip)
            let isEarly = patience.map { $0 < limit } ?? false
            let timer = engine.loop.schedule(after: min(limit, patience ?? limit)) { [self] _ in
                timedOut(isEarly: isEarly)
            }
            phase = .opening(open, timer)
            way = choice
            askedAt = engine.loop.now
            return true
        }
        return false
    }

    /// How long an answer may be on its way once a connect at the egress has timed out.
    private static let answerTime: Duration = .milliseconds(500)

    private func nextWay(_ ways: Ways, _ pick: Pick) -> WayPick? {
        let (tried, now) = (triedRoutes, engine.loop.now)
        return engine.plane.withRoutes {
            $0.pick(ways, turn: pick.number, excluding: tried, at: now)
        }
    }

    /// The egress has answered: the way is good.
    func wayAnswered() {
        guard let way = way.take() else { return }
        let now = engine.loop.now
        let time = now - askedAt
        engine.plane.withRoutes { $0.answered(way, after: time, at: now) }
    }

    /// The way led to no answer, for `reason` (nil: it was lost, which routing knows).
    func wayFailed(_ reason: FailoverReason?) {
        guard let way = way.take() else { return }
        let now = engine.loop.now
        engine.plane.withRoutes { ways in
            if let reason {
                ways.failed(way, reason: reason, at: now)
            } else {
                ways.abandoned(way)
            }
        }
    }

    func watchClient() -> Bool {
        if !isWatched { isWatched = watch() }
        return isWatched
    }

    /// `isEarly`: other ways were left, and this one is not known to lead anywhere.
    private func timedOut(isEarly: Bool) {
        guard case .opening = phase else { return }
        cancel()
        wayFailed(.connectTimeout)
        // Silence on one way is no word of the target.
        if tryAnotherWay() { return }
        guard isEarly else { return refused(.connectTimeout) }
        // The others have no lane: this one may be slow, and is asked for as long as it takes.
        triedRoutes = []
        if !tryAnotherWay() { unreachable() }
    }

    /// Gives up a stream on which nothing was sent.
    func cancel() {
        carrier?.conduit.send(.cancel, label: label)
        leaveStream()
    }

    /// Back to where another stream could be opened.
    func leaveStream() {
        if case .opening(_, let limit) = phase { engine.loop.cancel(limit) }
        cancelTimer()
        phase = .choosing
        detach()
        isOpen = false
        sender.restart()
        draw(on: engine.pool)
    }
}
