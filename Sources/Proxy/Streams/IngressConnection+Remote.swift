import Balancing
import NetworkModel
import SiteConfiguration
import Wire

/// The attempt to open a stream to a server elsewhere.
extension IngressConnection {
    /// Sends OPEN on the way to the target; false when there is no way.
    func open(_ pick: Pick) -> Bool {
        let view = engine.view
        let routes = view.routes[service.service]?[pick.site] ?? []
        for turn in 0..<routes.count {
            // Routes of equal cost take turns.
            let route = routes[Int((pick.number &+ UInt64(turn)) % UInt64(routes.count))]
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
            if !view.isEdge {
                guard let signature = view.keys.seal(open, signer: view.proxy) else { continue }
                open.signature = signature
            }
            guard watchClient(), carrier.open(self) else { continue }
            countWindow()
            carrier.conduit.send(.open, label: label) { open.encode(into: &$0) }
            let limit = engine.loop.schedule(after: timeouts.connect) { [self] _ in timedOut() }
            phase = .opening(open, limit)
            return true
        }
        return false
    }

    func watchClient() -> Bool {
        if !isWatched { isWatched = watch() }
        return isWatched
    }

    func timedOut() {
        guard case .opening = phase else { return }
        cancel()
        refused(.connectTimeout)
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
    }
}
