import Balancing
import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Streaming
import Synchronization
import TestSupport
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
                at: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)),
                now: EventLoop.clock()
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
                    failed: { reason.fulfill($0) }
                )
            }
            guard reason.value == .overloaded else { exit(3) }
            limits = usual
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            // Neither is avoided: they take turns as before.
            let picks = (0..<2).compactMap { _ in
                service.pickServer(at: EventLoop.clock())?.endpoint
            }
            exit(Set(picks) == Set(endpoints) ? 0 : 4)
        }
    }

    @Test("an egress leaves the reserve of descriptors to lanes, and its site is not blamed")
    func reserve() async throws {
        await #expect(processExitsWith: .success) {
            closeInheritedSockets()
            var limits = rlimit(rlim_cur: 1_024, rlim_max: 1_024)
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let near = try TestProxy(FixtureSite("near"))
            let far = try TestProxy(FixtureSite("far"))
            try near.link(to: far)
            try near.knows([far])
            try far.knows([near])
            let server = TestServer.named("server")
            far.servers([server.port])
            // No way yet: the client is accepted while there are descriptors, and waits.
            let nowhere = ProxyID(site: far.site.id, instance: 77)
            try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [nowhere])])
            guard let client = TestSocket.connected(to: try near.listen()) else { exit(2) }
            guard eventually({ (try? near.streamCount) == 1 }) else { exit(3) }
            var held: [Held] = []
            while DescriptorBudget.hasRoomForClient { held.append(Held()) }
            try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
            guard client.read().end == .reset, server.acceptedCount == 0 else { exit(4) }
            let condition = near.shared.states.first { $0.target.site == far.site.id }?.condition
            exit(condition == .usable && !held.isEmpty ? 0 : 5)
        }
    }

    @Test(
        "P2: services that lead to each other leave descriptors for others, and end with their client"
    )
    func loopOverTwo() async throws {
        await #expect(processExitsWith: .success) {
            closeInheritedSockets()
            var limits = rlimit(rlim_cur: 1_024, rlim_max: 1_024)
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let proxies = try ["one", "two", "other"].map { try TestProxy(FixtureSite($0)) }
            let ports = try proxies.map { try $0.listen() }
            for proxy in proxies {
                try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
            }
            let server = TestServer.named("server")
            proxies[0].servers([ports[1]])
            proxies[1].servers([ports[0]])
            proxies[2].servers([server.port])
            let room = DescriptorBudget.room
            guard let client = TestSocket.connected(to: ports[0]) else { exit(2) }
            // Whoever meets the bound is reset, and with it all that led there.
            let isRefused = eventually { proxies.contains { $0.shared.counters.refused > 0 } }
            guard isRefused, client.read().end == .reset else { exit(3) }
            guard proxies.allSatisfy({ $0.shared.counters.opened <= UInt64(room.total) }) else {
                exit(4)
            }
            guard let second = TestSocket.connected(to: ports[0]),
                let honest = TestSocket.connected(to: ports[2]),
                honest.read(limit: 7).bytes == Array("server\n".utf8)
            else { exit(5) }
            second.close()
            honest.close()
            let isEmptied = eventually { proxies.allSatisfy { (try? $0.isEmpty) == true } }
            exit(isEmptied ? 0 : 6)
        }
    }
}

/// A descriptor that nobody uses.
private final class Held {
    let descriptor = FileDescriptor(owning: dup(0))
}
