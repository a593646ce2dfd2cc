import Synchronization

/// The small HTTP endpoint of a process: `/healthz`, `/readyz`, `/metrics` and what is added.
///
/// Plain HTTP; only GET and HEAD, one request per connection. Health and readiness are asked at every request, and answered
/// on the endpoint's own thread, whatever else the process is busy with. Whoever reaches the port can make it hold 128
/// connections of 24 KiB for 5 s, and no more.
package final class AdminServer: Sendable {
    package typealias Handler = @Sendable (AdminRequest) async -> AdminResponse

    /// Whether the process can do its work.
    package enum Readiness: Equatable, Sendable {
        case ready
        /// It can, but not all of it; the text says what is amiss.
        case impaired(String)
        case notReady(String)
    }

    private let host: String
    private let port: UInt16
    private let routes: Mutex<[String: Handler]>
    private let readiness: @Sendable () -> Readiness
    private let health: @Sendable () -> Readiness
    private let bound = Mutex<AdminListener?>(nil)
    private let executor: (any TaskExecutor)?

    /// Makes the endpoint of `host` (an IP address) and `port` (0: any free one); nothing listens yet.
    ///
    /// `::` is every address, IPv4 ones too. `readiness` and `health` must not block. Other handlers run on `executor`, so that
    /// answers need not wait for the work of the process; nil: with all other tasks.
    package init(
        host: String,
        port: UInt16,
        registry: MetricsRegistry,
        executor: (any TaskExecutor)? = nil,
        readiness: @escaping @Sendable () -> Readiness,
        health: @escaping @Sendable () -> Readiness = { .ready }
    ) {
        self.host = host
        self.port = port
        self.executor = executor
        self.readiness = readiness
        self.health = health
        routes = Mutex([
            "/metrics": { _ in .metrics(registry) }
        ])
    }

    /// Adds a handler for GET of exactly this path.
    ///
    /// A handler has 60 s; its task is canceled then, and when the client has gone.
    package func addRoute(_ path: String, _ handler: @escaping Handler) {
        routes.withLock { $0[path] = handler }
    }

    /// The port that it listens on, once it does.
    package var listeningPort: UInt16? { bound.withLock { $0?.port } }

    /// Binds the address, so that a process can tell before it opens anything else; `run` does it where this was not done.
    package func listen() throws(AdminServerError) { _ = try listener() }

    private func listener() throws(AdminServerError) -> AdminListener {
        if let listener = bound.withLock({ $0 }) { return listener }
        let listener = try AdminListener(
            host: host,
            port: port,
            executor: { [executor] _ in executor }
        ) {
            [self] request in
            answerAtOnce(request)
        } handler: { [self] request in
            await answer(request)
        }
        bound.withLock { $0 = listener }
        return listener
    }

    /// Serves until the task is canceled; throws when the address cannot be bound.
    package func run() async throws(AdminServerError) {
        let listener = try listener()
        await withTaskCancellationHandler {
            await listener.run()
        } onCancel: {
            listener.stop()
        }
    }

    private func answerAtOnce(_ request: AdminRequest) -> AdminResponse? {
        switch request.path {
        case "/healthz": answer(health(), "")
        case "/readyz": answer(readiness(), "not ready: ")
        default: nil
        }
    }

    private func answer(_ state: Readiness, _ prefix: String) -> AdminResponse {
        switch state {
        case .ready: .text("ok\n")
        case .impaired(let problem): .text("ok, but \(problem)\n")
        case .notReady(let reason): .text("\(prefix)\(reason)\n", status: 503)
        }
    }

    private func answer(_ request: AdminRequest) async -> AdminResponse {
        guard let handler = routes.withLock({ $0[request.path] }) else {
            return .text("there is nothing at \(request.path)\n", status: 404)
        }
        return await handler(request)
    }
}

/// Why the endpoint could not start.
package struct AdminServerError: Error, Equatable, CustomStringConvertible {
    package let description: String
}
