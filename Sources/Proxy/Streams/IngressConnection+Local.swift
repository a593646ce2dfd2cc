import NetworkModel
import SiteConfiguration
import Wire

/// A server of this site.
extension IngressConnection {
    func connect() {
        // The relay watches the client; until then only the server matters.
        unwatch()
        let connector = LocalConnector(
            service,
            timeout: timeouts.connect,
            on: engine.loop,
            connected: { [self] socket, endpoint in relay(socket, endpoint) },
            failed: { [self] reason in
                switch reason {
                case .connectTimeout: refused(.connectTimeout)
                case .noEndpoint: refused(.noEndpoints)
                default: refused(.connectRefused)
                }
            }
        )
        phase = .connecting(connector)
    }

    func relay(_ server: consuming FileDescriptor, _ endpoint: Endpoint) {
        guard let client = socket.take() else { return end(.client) }
        didOpen()
        let relay = PlainRelay(
            client: client,
            server: server,
            unsent: sender.takeUnsent(),
            timeouts: PlainRelay.Timeouts(idle: timeouts.idle, halfClosed: timeouts.halfClosed),
            on: engine.loop
        ) { [self] relay, ending in
            relayEnded(relay, ending, endpoint)
        }
        phase = .relaying(relay, endpoint)
    }

    func relayEnded(_ relay: PlainRelay, _ ending: PlainRelay.End, _ endpoint: Endpoint) {
        service.serverReleased(endpoint)
        let hadBytes = relay.bytesToServer + relay.bytesToClient > 0
        switch ending {
        case .finished: end(.finished)
        case .client: end(.client)
        case .idle, .halfClosed, .aborted: end(.cut(hadBytes: hadBytes))
        case .server:
            guard let reclaimed = relay.reclaimClient() else {
                return end(.lost(hadBytes: hadBytes))
            }
            sender.prepend(reclaimed.unsent)
            socket = consume reclaimed.socket
            refused(.connectRefused)
        }
    }
}
