import FlyingFox
import FlyingSocks
package import FoundationEssentials
import Glibc
import Synchronization

/// The small HTTP endpoint of a process: `/healthz`, `/readyz`, `/metrics` and what is added.
///
/// Plain HTTP; only GET. Readiness is asked at every request.
package final class AdminServer: Sendable {
    package typealias Handler = @Sendable (AdminRequest) async -> AdminResponse

    /// Whether the process can do its work.
    package enum Readiness: Equatable, Sendable {
        case ready
        case notReady(String)
    }

    /// The longest that a handler may take, a long poll included.
    package static let handlerLimit: TimeInterval = 60

    private let host: String
    private let port: UInt16
    private let routes: Mutex<[String: Handler]>
    private let bound = Mutex<UInt16?>(nil)

    /// Makes the endpoint of `host` (an IP address) and `port` (0: any free one); nothing listens yet.
    package init(
        host: String,
        port: UInt16,
        registry: MetricsRegistry,
        readiness: @escaping @Sendable () -> Readiness
    ) {
        self.host = host
        self.port = port
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
    package func addRoute(_ path: String, _ handler: @escaping Handler) {
        routes.withLock { $0[path] = handler }
    }

    /// The port that it listens on, once it does.
    package var listeningPort: UInt16? { bound.withLock { $0 } }

    /// Serves until the task is cancelled.
    ///
    /// Throws `AdminServerError` when the address cannot be bound. A server that breaks later (no file descriptors)
    /// is started again after a second; `onFailure` is told.
    package func run(onFailure: @Sendable (String) -> Void = { _ in }) async throws {
        while !Task.isCancelled {
            do {
                try await serve()
            } catch {
                if Task.isCancelled { return }
                guard listeningPort != nil else {
                    throw AdminServerError(
                        description: "cannot listen on \(host):\(port): \(error)"
                    )
                }
                onFailure("\(error)")
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func serve() async throws {
        let configuration =
            if host.contains(":") {
                HTTPServer.Configuration(
                    address: try sockaddr_in6.inet6(ip6: host, port: listeningPort ?? port),
                    timeout: Self.handlerLimit,
                    logger: .disabled
                )
            } else {
                HTTPServer.Configuration(
                    address: try sockaddr_in.inet(ip4: host, port: listeningPort ?? port),
                    timeout: Self.handlerLimit,
                    logger: .disabled
                )
            }
        let server = HTTPServer(config: configuration)
        await server.appendRoute("*") { [self] request in await answer(request) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask { [self] in
                try await server.waitUntilListening()
                switch await server.listeningAddress {
                case .ip4(_, let port)?, .ip6(_, let port)?: bound.withLock { $0 = port }
                default: break
                }
                // Nothing ends the group before the server does.
                try await Task.sleep(for: .seconds(3_000_000_000))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        guard request.method == .GET else {
            return HTTPResponse(statusCode: .methodNotAllowed)
        }
        guard let handler = routes.withLock({ $0[request.path] }) else {
            return HTTPResponse(statusCode: .notFound)
        }
        var query: [String: String] = [:]
        for item in request.query { query[item.name] = item.value }
        let response = await handler(
            AdminRequest(
                path: request.path,
                query: query,
                authorization: request.headers[.authorization]
            )
        )
        return HTTPResponse(
            statusCode: HTTPStatusCode(response.status, phrase: response.phrase),
            headers: [.contentType: response.contentType],
            body: response.body
        )
    }
}

/// Why the endpoint could not start.
package struct AdminServerError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// What a handler is asked.
package struct AdminRequest: Sendable {
    package var path: String
    package var query: [String: String]
    package var authorization: String?

    package init(path: String, query: [String: String] = [:], authorization: String? = nil) {
        self.path = path
        self.query = query
        self.authorization = authorization
    }

    /// The key of `Authorization: Bearer KEY`.
    package var bearerKey: String? {
        guard let authorization, let space = authorization.firstIndex(of: " "),
            authorization[..<space].lowercased() == "bearer"
        else { return nil }
        return String(authorization[authorization.index(after: space)...])
    }
}

/// What a handler answers.
package struct AdminResponse: Sendable {
    package var status: Int
    package var contentType: String
    package var body: Data

    package init(status: Int, contentType: String, body: Data) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    package static func text(_ text: String, status: Int = 200) -> AdminResponse {
        AdminResponse(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Data(text.utf8)
        )
    }

    package static func json(_ body: Data) -> AdminResponse {
        AdminResponse(status: 200, contentType: "application/json", body: body)
    }

    fileprivate var phrase: String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 429: "Too Many Requests"
        case 503: "Service Unavailable"
        default: "Status \(status)"
        }
    }
}
