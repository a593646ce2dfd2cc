import NetworkModel
import SiteConfiguration
import Wire

/// The end of a stream at the proxy that has the server.
final class EgressStream: SocketStream {
    private let open: Open
    private let service: SharedService
    private var connector: LocalConnector?
    private var server: Endpoint?

    /// Begins to connect; the answer goes to `carrier` under the label of the OPEN.
    init(_ open: Open, _ entry: ServiceEntry, engine: StreamEngine) {
        self.open = open
        service = entry.shared
        super.init(socket: nil, engine: engine)
        countWindow()
        connector = LocalConnector(
            service,
            timeout: entry.timeouts.connect,
            on: engine.loop,
            connected: { [self] socket, endpoint in connected(socket, to: endpoint) },
            failed: { [self] reason in failed(reason) }
        )
    }

    private func connected(_ socket: consuming FileDescriptor, to endpoint: Endpoint) {
        connector = nil
        server = endpoint
        self.socket = consume socket
        guard watch() else {
            refuse(.overloaded)
            return end()
        }
        let view = engine.view
        let answer = Opened(
            egress: view.proxy,
            window: UInt32(receiver.window),
            mac: view.keys.sealAnswer(.opened, to: open, egress: view.proxy)
        )
        carrier?.conduit.send(.opened, label: label) { answer.encode(into: &$0) }
        opened(window: open.window)
    }

    private func failed(_ reason: Refused.Reason) {
        connector = nil
        refuse(reason)
        end()
    }

    private func refuse(_ reason: Refused.Reason) {
        let view = engine.view
        let mac = view.keys.sealAnswer(.refused, to: open, egress: view.proxy, reason: reason)
        let answer = Refused(by: view.proxy, reason: reason, mac: mac)
        carrier?.conduit.send(.refused, label: label) { answer.encode(into: &$0) }
    }

    private func end() {
        detach()
        close()
        connector?.cancel()
        connector = nil
        if let server { service.serverReleased(server) }
        server = nil
        engine.remove(self)
    }

    override func receiveCancel() { end() }
    override func streamReset(_ reason: Reset.Reason) { end() }
    override func carrierLost() { end() }
    override func streamFinished() { end() }

    override func socketFailed() {
        sendReset(.endpoint)
        end()
    }

    override func shutDown() {
        sendReset(.shutdown)
        end()
    }
}
