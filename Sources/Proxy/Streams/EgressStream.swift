import Balancing
import NetworkModel
import SiteConfiguration
import Streaming
import Wire

/// The end of a stream at the proxy that has the server.
///
/// A server that resets the connection before it took or gave anything is replaced by another one without the ingress
/// hearing of it: what came from the client meanwhile waits for the next server.
final class EgressStream: SocketStream {
    private let open: Open
    private let service: SharedService
    private let connectTimeout: Duration
    private var connector: LocalConnector?
    private var server: ServerPick?
    /// When `server` accepted.
    private var connectedAt: Instant
    /// When the first server accepted.
    private var openedAt: Instant?
    /// Servers that accepted and then reset.
    private var resetBy: [Endpoint] = []

    /// Begins to connect; the answer goes to `carrier` under the label of the OPEN.
    ///
    /// `charge` is what it draws from the account of the neighbor that sent the OPEN.
    init(_ open: Open, _ entry: ServiceEntry, charge: StreamCharge, engine: StreamEngine) {
        self.open = open
        service = entry.shared
        connectTimeout = entry.timeouts.connect
        connectedAt = engine.loop.now
        super.init(socket: nil, engine: engine, pool: engine.pool(of: charge.account))
        self.charge = charge
        countWindow()
        connect(within: connectTimeout)
    }

    private func connect(within timeout: Duration) {
        connector = LocalConnector(
            service,
            excluding: resetBy,
            timeout: timeout,
            on: engine.loop,
            account: charge?.account.number,
            connected: { [self] socket, watch, server in connected(socket, watch, to: server) },
            failed: { [self] reason in failed(reason) }
        )
    }

    private func connected(
        _ socket: consuming FileDescriptor,
        _ watch: Connector.Watch,
        to server: ServerPick
    ) {
        connector = nil
        self.server = server
        self.socket = consume socket
        connectedAt = engine.loop.now
        adopt(watch)
        // In place of another server: what came meanwhile is for this one.
        guard openedAt == nil else { return moveWhatWaits() }
        openedAt = engine.loop.now
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
        if openedAt == nil {
            refuse(reason)
        } else {
            sendReset(reason == .overloaded ? .overloaded : .endpoint)
        }
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
        service.left(isTouched: isTouched)
        engine.remove(self)
    }

    override var servicePort: ServicePort? { service.service }

    override func didTouch() { service.touched() }

    /// A server that ends the connection at once, before any byte and with the client still there, has not served it.
    override var isEarlyEnd: Bool {
        sender.finOffset == 0 && receiver.hasDeliveredNothing && !receiver.hasEnd
            && engine.loop.now - connectedAt <= connectTimeout
    }

    override func receiveCancel() { end() }
    override func streamReset(_ reason: Reset.Reason) { end() }
    override func carrierLost() { end() }
    override func streamFinished() { end() }

    override func socketFailed() {
        // A failure that was noticed twice.
        guard let server = server.take() else { return }
        let now = engine.loop.now
        // What a server does with the bytes that a client sent speaks against neither.
        let isUntouched = !sender.hasRead && receiver.hasDeliveredNothing
        if isUntouched, now - connectedAt <= connectTimeout {
            service.serverFailed(server, .closedAtOnce, at: now)
        } else {
            service.serverReleased(server)
        }
        // The ingress takes a reset within its own `connect` for the target's refusal: the last one has to reach it in time.
        let passed = now - (openedAt ?? now)
        guard isUntouched, passed <= connectTimeout / 2 else {
            sendReset(.endpoint)
            return end()
        }
        unwatch(closing: true)
        socket = nil
        resetBy.append(server.endpoint)
        connect(within: connectTimeout * 3 / 4 - passed)
    }

    override func shutDown() {
        sendReset(.shutdown)
        end()
    }
}
