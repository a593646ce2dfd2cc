import Balancing
import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Testing

@testable import Proxy

/// Ways that lead nowhere to a site that is there.
@Suite("Detours", .timeLimit(.minutes(1)), .serialized)
struct DetourTests {
    /// A gateway of the first site that is dead, in the name of which a mute neighbor keeps a lane.
    private func haunt(_ fork: Fork, isMute: Bool = true) throws -> TestProxy {
        let zombie = try TestProxy(fork.first.site, instance: 99)
        try fork.near.link(to: zombie, isMute: isMute)
        try fork.near.knows([fork.first, fork.second, zombie])
        return zombie
    }

    private func state(_ fork: Fork) -> TargetState.Condition? {
        fork.near.shared.states.first { $0.target.site == fork.first.site.id }?.condition
    }

    @Test("D2: silence on the cheapest way is no verdict on the site: its live gateway is asked")
    func silence() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let zombie = try haunt(fork)
        defer { zombie.stop() }
        let (first, second) = (TestServer.named("first_"), TestServer.named("second"))
        fork.first.servers([first.port])
        fork.second.servers([second.port])
        try fork.near.targets([
            .init(
                site: fork.first.site.id,
                cost: 2,
                route: [zombie.id],
                detours: [[fork.first.id]]
            ), .init(site: fork.second.site.id, cost: 100, route: [fork.second.id]),
        ])
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try fork.ask() == "first_\n")
        // A service waits 3.5 s for its servers; this way never led to any.
        #expect(clock.now - start < .seconds(2))
        #expect(state(fork) == .usable)
        // The way is left alone now: nobody waits for it again, but for one that probes it.
        for _ in 0..<5 { #expect(try fork.ask() == "first_\n") }
        #expect(clock.now - start < .seconds(4))
        #expect(second.acceptedCount == 0)
        #expect(fork.near.shared.counters.failed == 0)
        #expect(fork.isEmptied())
    }

    @Test("D2: when every way is silent, another site is taken before the client gives up")
    func everyWaySilent() throws {
        let fork = try Fork(connect: .seconds(1))
        defer { fork.stop() }
        let zombie = try haunt(fork)
        defer { zombie.stop() }
        let second = TestServer.named("second")
        fork.second.servers([second.port])
        try fork.near.targets([
            .init(site: fork.first.site.id, cost: 2, route: [zombie.id]),
            .init(site: fork.second.site.id, cost: 100, route: [fork.second.id]),
        ])
        #expect(try fork.ask() == "second\n")
        guard case .ejected(.connectTimeout, _)? = state(fork) else {
            Issue.record("\(String(describing: state(fork)))")
            return
        }
        #expect(fork.isEmptied())
    }

    @Test("D2: a hop that knows no further way is no verdict on the site")
    func noRoute() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let zombie = ProxyID(site: fork.first.site.id, instance: 99)
        let (first, second) = (TestServer.named("first_"), TestServer.named("second"))
        fork.first.servers([first.port])
        fork.second.servers([second.port])
        let keys = KeyRing([
            zombie: Array(repeating: 1, count: 32),
            fork.first.id: try #require(fork.near.key(for: fork.first.id)),
        ])
        try fork.near.publish { $0.keys = keys }
        // The second site's proxy has no lane to it.
        try fork.near.targets([
            .init(
                site: fork.first.site.id,
                cost: 2,
                route: [fork.second.id, zombie],
                detours: [[fork.first.id]]
            )
        ])
        for _ in 0..<3 { #expect(try fork.ask() == "first_\n") }
        #expect(state(fork) == .usable)
        #expect(fork.near.shared.counters.failed == 0)
        #expect(fork.isEmptied())
    }

    @Test("D2: on a way that has led to answers a slow one is waited for")
    func slowAnswer() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let zombie = try haunt(fork)
        defer { zombie.stop() }
        let server = TestServer.named("first_")
        fork.first.servers([server.port])
        try fork.near.targets([
            .init(
                site: fork.first.site.id,
                cost: 2,
                route: [fork.first.id],
                detours: [[zombie.id]]
            )
        ])
        #expect(try fork.ask() == "first_\n")
        // Longer than a way that never answered is given.
        fork.first.threads[0].mailbox.post { _ in usleep(1_200_000) }
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try fork.ask() == "first_\n")
        // Over the other way nobody would have answered before its time-out of 3.5 s.
        #expect(clock.now - start < .seconds(3))
        #expect(fork.isEmptied())
    }
}
