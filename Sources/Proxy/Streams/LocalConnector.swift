import Glibc
import NetworkModel
import Wire

/// Connects to one of this site's servers of a service: the best first, then the others, within one time limit.
///
/// The chosen server stays counted until whoever got the connection calls `SharedService.serverReleased`.
final class LocalConnector {
    typealias Connected = (consuming FileDescriptor, Endpoint) -> Void
    typealias Failed = (Refused.Reason) -> Void

    private let service: SharedService
    private let loop: EventLoop
    private let deadline: Instant
    private let attemptLimit: Duration
    private var tried: [Endpoint] = []
    private var current: (endpoint: Endpoint, connector: Connector)?
    private var hasTimedOut = false
    private var connected: Connected?
    private var failed: Failed?

    /// Servers that are tried for one connection.
    private static let limit = 8

    /// One of `connected` and `failed` is called once, never from within this call, unless `cancel()` comes first.
    init(
        _ service: SharedService,
        timeout: Duration,
        on loop: EventLoop,
        connected: @escaping Connected,
        failed: @escaping Failed
    ) {
        self.service = service
        self.loop = loop
        self.connected = connected
        self.failed = failed
        deadline = loop.now + timeout
        // A server that does not answer leaves half of the time for the others.
        attemptLimit = timeout / 2
        next()
    }

    /// Gives up; nothing is called any more.
    func cancel() {
        if let current {
            current.connector.cancel()
            service.serverReleased(current.endpoint)
        }
        current = nil
        connected = nil
        failed = nil
    }

    private func next() {
        let now = loop.now
        let rest = deadline - now
        guard rest > .zero, tried.count < Self.limit,
            let endpoint = service.pickServer(excluding: tried, at: now)
        else { return giveUp() }
        let isLast = service.readyCount <= UInt32(tried.count + 1)
        tried.append(endpoint)
        let connector = Connector(
            to: endpoint,
            timeout: isLast ? rest : min(rest, attemptLimit),
            on: loop
        ) { [self] result in
            finish(endpoint, result)
        }
        current = (endpoint, connector)
    }

    private func finish(
        _ endpoint: Endpoint,
        _ result: consuming Result<FileDescriptor, SystemError>
    ) {
        current = nil
        switch consume result {
        case .success(let socket):
            service.serverOpened(endpoint)
            let connected = connected
            self.connected = nil
            failed = nil
            connected?(socket, endpoint)
        case .failure(let error):
            service.serverFailed(endpoint, at: loop.now)
            hasTimedOut = hasTimedOut || error.code == ETIMEDOUT
            next()
        }
    }

    private func giveUp() {
        let reason: Refused.Reason =
            tried.isEmpty ? .noEndpoint : hasTimedOut ? .connectTimeout : .connectRefused
        // The first attempt is made within `init`: nobody waits for an answer yet.
        loop.schedule(after: .zero) { [self] _ in
            let failed = failed
            cancel()
            failed?(reason)
        }
    }
}
