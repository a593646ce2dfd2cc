import Foundation
import FoundationNetworking
import Synchronization
import Testing

@testable import Telemetry

@Suite("Admin server")
struct AdminServerTests {
    private final class Switch: Sendable {
        let ready = Atomic(false)
    }

    private func withServer(
        _ readiness: @escaping @Sendable () -> AdminServer.Readiness = { .ready },
        _ body: @escaping @Sendable (AdminServer, UInt16) async throws -> Void
    ) async throws {
        let registry = MetricsRegistry()
        registry.counter("tieline_test_total", help: "x").add(2)
        let server = AdminServer(
            host: "127.0.0.1",
            port: 0,
            registry: registry,
            readiness: readiness
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask {
                let deadline = ContinuousClock.now + .seconds(10)
                while server.listeningPort == nil, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await body(server, try #require(server.listeningPort))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func get(
        _ port: UInt16,
        _ path: String,
        key: String? = nil
    ) async throws -> (status: Int, body: String) {
        var request = URLRequest(
            url: try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
        )
        if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
        let (data, response) = try await URLSession.shared.data(for: request)
        let status = try #require((response as? HTTPURLResponse)?.statusCode)
        return (status, String(decoding: data, as: UTF8.self))
    }

    @Test("health, readiness and metrics are served; readiness is asked every time")
    func routes() async throws {
        let state = Switch()
        try await withServer({
            state.ready.load(ordering: .relaxed) ? .ready : .notReady("no configuration yet")
        }) { server, port in
            #expect(try await get(port, "/healthz").status == 200)
            let before = try await get(port, "/readyz")
            #expect(before.status == 503)
            #expect(before.body == "not ready: no configuration yet\n")
            state.ready.store(true, ordering: .relaxed)
            #expect(try await get(port, "/readyz").status == 200)
            #expect(try await get(port, "/metrics").body.contains("tieline_test_total 2\n"))
            #expect(try await get(port, "/nothing").status == 404)
        }
    }

    @Test("an added route sees its query and key")
    func added() async throws {
        try await withServer { server, port in
            server.addRoute("/v1/x") { request in
                guard constantTimeEquals(request.bearerKey ?? "", "key") else {
                    return .text("", status: 401)
                }
                return .text("after=\(request.query["after"] ?? "")")
            }
            #expect(try await get(port, "/v1/x?after=7").status == 401)
            #expect(try await get(port, "/v1/x?after=7", key: "kez").status == 401)
            let answer = try await get(port, "/v1/x?after=7&wait=30s", key: "key")
            #expect(answer.status == 200)
            #expect(answer.body == "after=7")
        }
    }

    @Test("a taken port is an error, not a wait")
    func taken() async throws {
        try await withServer { _, port in
            let second = AdminServer(
                host: "127.0.0.1",
                port: port,
                registry: MetricsRegistry(),
                readiness: { .ready }
            )
            await #expect(throws: AdminServerError.self) { try await second.run() }
        }
    }

    @Test("waiters beyond the limit are refused at once")
    func waiters() async {
        let waiters = Waiters(limit: 1)
        let inner = await waiters.wait { await waiters.wait { 1 } }
        #expect(inner == .some(nil))
        #expect(await waiters.wait { 2 } == 2)
    }
}
