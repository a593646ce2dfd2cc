import Balancing
import Glibc
import NetworkModel
import Streaming
import Wire

/// Connects to one of this site's servers of a service, as `ServerAttempts` says.
///
/// The chosen server stays counted until whoever got the connection calls `SharedService.serverReleased`, or
/// `serverFailed` when it was reset at once.
final class LocalConnector {
    /// The loop watches the socket already, for whoever takes the watch over.
    typealias Connected = (consuming FileDescriptor, Connector.Watch, ServerPick) -> Void
    typealias Failed = (Refused.Reason) -> Void

    private let service: SharedService
    private let loop: EventLoop
    private let account: AccountNumber?
    /// Whom servers are told of before anything else.
    private let client: Endpoint?
    private var attempts: ServerAttempts
    private var current: (server: ServerPick, connector: Connector)?
    private var connected: Connected?
    private var failed: Failed?

    /// One of `connected` and `failed` is called once, never from within this call, unless `cancel()` comes first.
    ///
    /// `excluded` are servers that were tried before for this connection; `account` is that of the neighbor that asked for it.
    /// With `client` each server is first sent the header of the PROXY protocol that names it.
    init(
        _ service: SharedService,
        excluding excluded: [Endpoint] = [],
        introducing client: Endpoint? = nil,
        timeout: Duration,
        on loop: EventLoop,
        account: AccountNumber? = nil,
        connected: @escaping Connected,
        failed: @escaping Failed
    ) {
        self.service = service
        self.loop = loop
        self.account = account
        self.client = client
        self.connected = connected
        self.failed = failed
        attempts = ServerAttempts(excluding: excluded, within: timeout, at: loop.now)
        next()
    }

    /// Gives up; nothing is called any more.
    func cancel() {
        if let current {
            current.connector.cancel()
            service.serverReleased(current.server)
        }
        current = nil
        connected = nil
        failed = nil
    }

    private func next() {
        switch service.nextServer(&attempts, at: loop.now) {
        case .connect(let server, within: let timeout): connect(to: server, within: timeout)
        case .giveUp(let reason): giveUp(reason)
        }
    }

    private func connect(to server: ServerPick, within timeout: Duration) {
        var server = server
        let connector = Connector(
            to: server.endpoint,
            timeout: timeout,
            keepsWatching: true,
            on: loop,
            account: account
        ) { [self] result in
            finish(result)
        }
        service.connecting(&server, from: connector.ownEnd)
        current = (server, connector)
    }

    private func finish(_ result: consuming Result<FileDescriptor, SystemError>) {
        guard let (server, connector) = current.take() else { return }
        let watch = connector.takeWatch()
        switch consume result {
        case .success(let socket):
            guard let watch else { preconditionFailure("connected to \(server) unwatched") }
            guard introduceClient(to: server.endpoint, on: socket) else {
                loop.deregister(watch.registration, closing: true)
                return fail(server, .refused)
            }
            service.serverOpened(server, at: loop.now)
            failed = nil
            connected.take()?(socket, watch, server)
        case .failure(let error):
            if let shortage = Shortage(error) {
                Shortages.note(shortage, at: loop.now)
                return fail(server, .shortage)
            }
            fail(server, error.code == ETIMEDOUT ? .unanswered : .refused)
        }
    }

    private func fail(_ server: ServerPick, _ failure: ServerAttempts.Failure) {
        if let fault = attempts.failed(failure) {
            service.serverFailed(server, fault, at: loop.now)
        } else {
            service.serverReleased(server)
        }
        next()
    }

    /// A socket that was just connected has room for so little; otherwise its server has reset it already.
    private func introduceClient(to server: Endpoint, on socket: borrowing FileDescriptor) -> Bool {
        guard let client else { return true }
        let header = ProxyHeader.proxied(client: client, server: server)
        let written = unsafe socket.write(header.span.bytes)
        guard case .bytes(header.count) = written else { return false }
        return true
    }

    private func giveUp(_ reason: Refused.Reason) {
        // The first attempt is made within `init`: nobody waits for an answer yet.
        loop.schedule(after: .zero) { [self] _ in
            let failed = failed
            cancel()
            failed?(reason)
        }
    }
}
