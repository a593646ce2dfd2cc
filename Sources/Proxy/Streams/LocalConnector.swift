import Balancing
import Glibc
import NetworkModel
import Wire

/// Connects to one of this site's servers of a service: the best first, then the others, within one time limit.
///
/// The chosen server stays counted until whoever got the connection calls `SharedService.serverReleased`, or
/// `serverFailed` when it was reset at once. What this host is short of (descriptors, ports, memory) is not held
/// against a server.
final class LocalConnector {
    /// The loop watches the socket already, for whoever takes the watch over.
    typealias Connected = (consuming FileDescriptor, Connector.Watch, ServerPick) -> Void
    typealias Failed = (Refused.Reason) -> Void

    private let service: SharedService
    private let loop: EventLoop
    private let account: AccountNumber?
    private let deadline: Instant
    private let attemptLimit: Duration
    /// Whom servers are told of before anything else.
    private let client: Endpoint?
    private var tried: [Endpoint]
    private var current: (server: ServerPick, connector: Connector)?
    private var hasTimedOut = false
    private var isShort = false
    private var connected: Connected?
    private var failed: Failed?

    /// Servers that are tried for one connection.
    private static let limit = 8

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
        tried = excluded
        deadline = loop.now + timeout
        // A server that does not answer leaves half of the time for the others.
        attemptLimit = timeout / 2
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
        let now = loop.now
        let rest = deadline - now
        guard rest > .zero, tried.count < Self.limit,
            var server = service.pickServer(excluding: tried, at: now)
        else { return giveUp() }
        let isLast = service.candidateCount <= tried.count + 1
        tried.append(server.endpoint)
        let connector = Connector(
            to: server.endpoint,
            timeout: isLast ? rest : min(rest, attemptLimit),
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
                service.serverFailed(server, .refused, at: loop.now)
                return next()
            }
            service.serverOpened(server, at: loop.now)
            failed = nil
            connected.take()?(socket, watch, server)
        case .failure(let error):
            if let shortage = Shortage(error) {
                Shortages.note(shortage, at: loop.now)
                service.serverReleased(server)
                isShort = true
                next()
                return
            }
            let isUnanswered = error.code == ETIMEDOUT
            service.serverFailed(server, isUnanswered ? .unanswered : .refused, at: loop.now)
            hasTimedOut = hasTimedOut || isUnanswered
            next()
        }
    }

    /// A socket that was just connected has room for so little; otherwise its server has reset it already.
    private func introduceClient(to server: Endpoint, on socket: borrowing FileDescriptor) -> Bool {
        guard let client else { return true }
        let header = ProxyHeader.proxied(client: client, server: server)
        let written = unsafe socket.write(header.span.bytes)
        guard case .bytes(header.count) = written else { return false }
        return true
    }

    private func giveUp() {
        // The first attempt is made within `init`: nobody waits for an answer yet.
        let reason = reason
        loop.schedule(after: .zero) { [self] _ in
            let failed = failed
            cancel()
            failed?(reason)
        }
    }

    private var reason: Refused.Reason {
        if isShort { return .overloaded }
        if tried.isEmpty { return .noEndpoint }
        return hasTimedOut ? .connectTimeout : .connectRefused
    }
}
