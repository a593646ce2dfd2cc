import Balancing
import Glibc
import NetworkModel
import Synchronization
import Testing
import Wire

@testable import Proxy

@Suite("Shortages of this host", .timeLimit(.minutes(1)), .serialized)
struct ShortageTests {
    @Test("without descriptors no server is blamed, and the refusal says whose fault it is")
    func descriptors() async throws {
        await #expect(processExitsWith: .success) {
            let server = TestServer.named("server")
            let service = SharedService(service: TestProxy.backend) {}
            let endpoints = [server.port, TestSocket.deadPort()]
                .map { Endpoint(address: loopback, port: $0) }
            service.update(
                servers: endpoints.map {
                    EndpointBalancer.Server(endpoint: $0, isReady: true, isServing: true)
                },
                at: SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
            )
            let thread = try EventLoopThread(index: 0)
            var limits = rlimit()
            unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let usual = limits
            // The lowest free number is beyond the limit.
            limits.rlim_cur = 3
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let reason = Promise<Refused.Reason>()
            _ = try thread.run { loop in
                _ = LocalConnector(
                    service,
                    timeout: .seconds(2),
                    on: loop,
                    connected: { _, _, _ in exit(2) },
                    failed: { reason.fulfil($0) }
                )
            }
            guard reason.value == .overloaded else { exit(3) }
            limits = usual
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            // Neither is avoided: they take turns as before.
            let picks = (0..<2).compactMap { _ in
                service.pickServer(excluding: [], at: EventLoop.clock())?.endpoint
            }
            exit(Set(picks) == Set(endpoints) ? 0 : 4)
        }
    }
}
