import Balancing
import NetworkModel
import Streaming
import Wire

/// A server of this site.
extension IngressConnection {
    func connect(excluding excluded: [Endpoint]) {
        // The relay watches the client; until then only the server matters.
        part.unwatch(on: engine.loop)
        let connector = LocalConnector(
            service,
            excluding: excluded,
            introducing: introducesClients ? client : nil,
            timeout: stream.timeouts.connect,
            on: engine.loop,
            connected: { [self] socket, watch, server in connected(socket, watch, server) },
            failed: { [self] reason in
                errand = nil
                handle(.notConnected(reason))
            }
        )
        errand = .connecting(connector)
    }

    func stopConnecting() {
        guard case .connecting(let connector)? = errand else { return }
        connector.cancel()
        errand = nil
    }

    private func connected(
        _ socket: consuming FileDescriptor,
        _ watch: Connector.Watch,
        _ pick: ServerPick
    ) {
        errand = nil
        // The loop that accepted it may have been faster than the one that connected could note its end.
        guard !engine.comesBack(client, at: part.socket?.localEndpoint) else {
            engine.loop.deregister(watch.registration)
            return handle(.cameBack(pick))
        }
        handle(.connected(pick))
        guard let client = part.socket.take() else {
            preconditionFailure("a server was connected for a client that has left")
        }
        let relay = PlainRelay(
            client: client,
            server: socket,
            serverWatch: watch,
            unsent: stream.flow.takeUnsent(),
            timeouts: stream.timeouts,
            judgesEndsFor: stream.timeouts.connect,
            on: engine.loop,
            firstByte: { [self] in touch() },
            firstAnswer: { [self] in answered() },
            completion: { [self] relay, ending in ended(relay, ending) }
        )
        errand = .relayed(relay)
    }

    private func ended(_ relay: PlainRelay, _ ending: PlainRelay.End) {
        tellMoved()
        errand = nil
        let hadBytes = relay.bytesToServer + relay.bytesToClient > 0
        switch ending {
        case .finished: handle(.relayEnded(.finished))
        case .client: handle(.relayEnded(.client))
        case .idle, .halfClosed, .aborted: handle(.relayEnded(.cut(hadBytes: hadBytes)))
        case .server:
            let reclaimed = relay.reclaimClient()
            let isReclaimed = reclaimed != nil
            if let reclaimed {
                stream.flow.prepend(reclaimed.unsent)
                part.socket = consume reclaimed.socket
            }
            handle(.relayEnded(.server(isUntouched: !hadBytes, isReclaimed: isReclaimed)))
        }
    }
}
