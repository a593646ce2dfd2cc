import FoundationEssentials
import Synchronization

/// The small HTTP endpoint of a process: `/healthz`, `/readyz`, `/metrics` and what is added.
///
/// Plain HTTP; only GET, one request per connection. Readiness is asked at every request. Whoever reaches the port can make
/// it hold 128 connections of 8 KiB for 5 s, and no more.
package final class AdminServer: Sendable {
    package typealias Handler = @Sendable (AdminRequest) async -> AdminResponse

    /// Whether the process can do its work.
    package enum Readiness: Equatable, Sendable {
        case ready
        case notReady(String)
    }

    private let host: String
    private let port: UInt16
    private let routes: Mutex<[String: Handler]>
    private let bound = Mutex<UInt16?>(nil)
    private let executor: (any TaskExecutor)?

    /// Makes the endpoint of `host` (an IP address) and `port` (0: any free one); nothing listens yet.
    ///
    /// Handlers run on `executor`, so that answers need not wait for the work of the process; nil: with all other tasks.
    package init(
        host: String,
        port: UInt16,
        registry: MetricsRegistry,
        executor: (any TaskExecutor)? = nil,
        readiness: @escaping @Sendable () -> Readiness
    ) {
        self.host = host
        self.port = port
        self.executor = executor
        routes = Mutex([
            "/healthz": { _ in .text("ok\n") },
            "/readyz": { _ in
                switch readiness() {
                case .ready: .text("ok\n")
                case .notReady(let reason): .text("not ready: \(reason)\n", status: 503)
                }
            },
            "/metrics": { _ in
                AdminResponse(
                    status: 200,
                    contentType: "text/plain; version=0.0.4; charset=utf-8",
                    body: Data(registry.text().utf8)
                )
            },
        ])
    }

    /// Adds a handler for GET of exactly this path.
    ///
    /// A handler has 60 s; its task is cancelled then, and when the client has gone.
    package func addRoute(_ path: String, _ handler: @escaping Handler) {
        routes.withLock { $0[path] = handler }
    }

    /// The port that it listens on, once it does.
    package var listeningPort: UInt16? { bound.withLock { $0 } }

    /// Serves until the task is cancelled; throws when the address cannot be bound.
    package func run() async throws(AdminServerError) {
        let listener = try AdminListener(host: host, port: port, executor: executor) {
            [self] request in
            await answer(request)
        }
        bound.withLock { $0 = listener.port }
        await withTaskCancellationHandler {
            await listener.run()
        } onCancel: {
            listener.stop()
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
