import Foundation
import KubernetesAPI
import NetworkTestSupport
import Synchronization
import Testing

@testable import KubernetesClient

/// A server that is too busy is asked again when it says, and not for ever.
@Suite("A busy API server", .timeLimit(.minutes(1)))
struct PressureTests {
    private func server(busy times: Int, _ status: String, after: String) throws -> CannedServer {
        let asked = Mutex(0)
        return try CannedServer { _, client in
            let isBusy = asked.withLock { asked in
                asked += 1
                return asked <= times
            }
            let body = #"{"kind": "ConfigMap", "metadata": {"name": "a"}}"#
            _ = client.write(
                isBusy
                    ? answer(status, "{}", headers: "Retry-After: \(after)\r\n")
                    : answer("200 OK", body)
            )
        }
    }

    private func get(_ server: CannedServer) async throws -> Core.ConfigMap {
        try await KubernetesClient(configuration: ClientConfiguration(server: server.url))
            .get(Core.ConfigMap.self, ObjectKey(namespace: "n", name: "a"))
    }

    @Test(
        "K16: a request that was put off is sent again when the server said",
        arguments: ["429 Too Many Requests", "503 Service Unavailable"]
    )
    func again(status: String) async throws {
        let server = try server(busy: 1, status, after: "1")
        defer { server.stop() }
        let start = ContinuousClock.now
        #expect(try await get(server).metadata.name == "a")
        #expect(ContinuousClock.now - start >= .seconds(1))
        #expect(server.requests.count == 2)
    }

    @Test("K16: after six answers that put it off the request fails with the last one")
    func bounded() async throws {
        let server = try server(busy: 100, "429 Too Many Requests", after: "0")
        defer { server.stop() }
        await #expect(throws: APIError.self) { try await get(server) }
        #expect(server.requests.count == 6)
    }

    @Test("K16: a wait beyond the time of a request is left to whoever asked")
    func tooLong() async throws {
        let server = try server(busy: 100, "429 Too Many Requests", after: "3600")
        defer { server.stop() }
        await #expect(throws: APIError.self) { try await get(server) }
        #expect(server.requests.count == 1)
    }

    @Test("K16: requests share a burst, then a pace, and what was not used comes back")
    func pace() {
        let pace = RequestPace(perSecond: 10, burst: 3)
        let start = ContinuousClock.now + .seconds(100)
        let waits = (0..<5).map { _ in pace.reserve(at: start) - start }
        #expect(waits == [0, 0, 0, 100, 200].map { .milliseconds($0) })
        let later = start + .milliseconds(400)
        #expect(
            (0..<3).map { _ in pace.reserve(at: later) - later }
                == [0, 0, 100].map { .milliseconds($0) }
        )
        let muchLater = start + .seconds(60)
        #expect(
            (0..<4).map { _ in pace.reserve(at: muchLater) - muchLater }
                == [0, 0, 0, 100].map { .milliseconds($0) }
        )
    }

    @Test("K16: all copies of a client are held to one pace")
    func sharedPace() async throws {
        let server = try server(busy: 0, "200 OK", after: "0")
        defer { server.stop() }
        let client = KubernetesClient(configuration: ClientConfiguration(server: server.url))
            .paced(by: RequestPace(perSecond: 20, burst: 2))
        let other = client.fenced { .seconds(10) }
        let start = ContinuousClock.now
        for turn in 0..<8 {
            _ = try await (turn.isMultiple(of: 2) ? client : other)
                .get(Core.ConfigMap.self, ObjectKey(namespace: "n", name: "a"))
        }
        // Two at once, six at 20 a second.
        #expect(ContinuousClock.now - start >= .milliseconds(290))
    }
}
