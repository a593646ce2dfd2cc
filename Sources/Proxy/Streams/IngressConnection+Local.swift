import Balancing
import NetworkModel
import SiteConfiguration
import Streaming
import Wire

/// A server of this site.
extension IngressConnection {
    func connect() {
        // The relay watches the client; until then only the server matters.
        unwatch()
        let connector = LocalConnector(
            service,
            excluding: resetBy,
            timeout: timeouts.connect,
            on: engine.loop,
            connected: { [self] socket, watch, server in relay(socket, watch, server) },
            failed: { [self] reason in
                switch reason {
                case .connectTimeout: refused(.connectTimeout)
                case .noEndpoint: refused(.noEndpoints)
                case .overloaded: unreachable()
                default: refused(.connectRefused)
                }
            }
        )
        phase = .connecting(connector)
    }

    func relay(
        _ server: consuming FileDescriptor,
        _ watch: Connector.Watch,
        _ pick: ServerPick
    ) {
        // The loop that accepted it may have been faster than the one that connected could note its end.
        if engine.comesBack(client, at: socket?.localEndpoint) {
            engine.loop.deregister(watch.registration)
            service.serverReleased(pick)
            service.count(.refused)
            return end(.client)
        }
        guard let client = socket.take() else {
            engine.loop.deregister(watch.registration)
            service.serverReleased(pick)
            return end(.client)
        }
        didOpen()
        let relay = PlainRelay(
            client: client,
            server: server,
            serverWatch: watch,
            unsent: sender.takeUnsent(),
            timeouts: PlainRelay.Timeouts(idle: timeouts.idle, halfClosed: timeouts.halfClosed),
            judgesEndsFor: timeouts.connect,
            on: engine.loop,
            firstByte: { [self] in touch() },
            completion: { [self] relay, ending in relayEnded(relay, ending, pick) }
        )
        phase = .relaying(relay, pick)
    }

    func relayEnded(_ relay: PlainRelay, _ ending: PlainRelay.End, _ server: ServerPick) {
        // What a server does with the bytes that a client sent speaks against neither.
        let isUntouched = relay.bytesToClient == 0 && relay.bytesToServer == 0
        if case .server = ending, isUntouched, wasOpenedJustNow {
            service.serverFailed(server, .closedAtOnce, at: engine.loop.now)
        } else {
            service.serverReleased(server)
        }
        let hadBytes = relay.bytesToServer + relay.bytesToClient > 0
        switch ending {
        case .finished: end(.finished)
        case .client: end(.client)
        case .idle, .halfClosed, .aborted: end(.cut(hadBytes: hadBytes))
        case .server:
            guard let reclaimed = relay.reclaimClient() else {
                return end(.cut(hadBytes: hadBytes))
            }
            sender.prepend(reclaimed.unsent)
            socket = consume reclaimed.socket
            guard beginAnew() else { return again() }
            // Another server of this site comes before another site.
            resetBy.append(server.endpoint)
            connect()
        }
    }
}
