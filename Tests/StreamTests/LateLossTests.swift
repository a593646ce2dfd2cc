import Balancing
import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Synchronization
import Testing

@testable import Proxy

/// What happens to connections that were open for a while and had exchanged nothing, and to those between two targets.
@Suite("Losses after a while", .timeLimit(.minutes(2)), .serialized)
struct LateLossTests {
    /// The time-out of a connect; what is lost later than this is lost late.
    private static let connect: Duration = .seconds(1)

    private func isUsable(_ site: SiteID, at proxy: TestProxy) -> Bool {
        proxy.shared.states.first { $0.target.site == site }?.condition == .usable
    }

    @Test("a lane lost long after OPENED moves a client that exchanged nothing, as at first")
    func laneLost() throws {
        let fork = try Fork(connect: Self.connect)
        defer { fork.stop() }
        let silent = TestServer { _ = $0.read() }
        let server = TestServer.named("second")
        fork.first.servers([silent.port])
        fork.second.servers([server.port])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { fork.near.shared.counters.opened == 1 })
        usleep(1_500_000)
        try fork.first.cutLanes()
        #expect(client.read(limit: 7).bytes == Array("second\n".utf8))
        client.close()
        #expect(fork.isEmptied())
        let counters = fork.near.shared.counters
        #expect((counters.opened, counters.failed, counters.interrupted) == (1, 0, 0))
    }

    @Test("when no target is left for a client that had one, it is reset, and was not refused")
    func nobodyLeft() throws {
        let fork = try Fork(connect: Self.connect)
        defer { fork.stop() }
        let silent = TestServer { _ = $0.read() }
        fork.first.servers([silent.port])
        fork.second.servers([TestSocket.deadPort()])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { fork.near.shared.counters.opened == 1 })
        try fork.first.cutLanes()
        #expect(client.read().end == .reset)
        #expect(fork.isEmptied())
        let counters = fork.near.shared.counters
        #expect((counters.opened, counters.failed, counters.active) == (1, 0, 0))
    }

    @Test(
        "a server that resets an idle connection says nothing against its site",
        arguments: [true, false]
    )
    func idleReset(isLocal: Bool) throws {
        let fork = try Fork(connect: Self.connect)
        defer { fork.stop() }
        let count = Calls()
        let server = TestServer { client in
            if count.next() == 1 {
                usleep(1_500_000)
                client.reset()
            } else {
                client.write(Array("again\n".utf8))
                _ = client.read()
            }
        }
        let holder = isLocal ? fork.near : fork.first
        holder.servers([server.port])
        try fork.near.targets([
            TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [holder.id])
        ])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(client.read(limit: 6).bytes == Array("again\n".utf8))
        #expect(isUsable(holder.site.id, at: fork.near))
        client.close()
        #expect(fork.isEmptied())
        #expect(fork.near.shared.counters.interrupted == 0)
    }

    @Test("the idle limit of a stream that was lost does not hold for the relay after it")
    func idleLimit() throws {
        let fork = try Fork(connect: Self.connect, idle: .seconds(1))
        defer { fork.stop() }
        let silent = TestServer { _ = $0.read() }
        let local = TestServer.named("local_")
        fork.first.servers([silent.port])
        fork.near.servers([local.port])
        try fork.near.targets([
            TestProxy.Way(site: fork.first.site.id, cost: 1, route: [fork.first.id]),
            TestProxy.Way(site: fork.near.site.id, cost: 100, route: []),
        ])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { fork.near.shared.counters.opened == 1 })
        try fork.first.cutLanes()
        #expect(client.read(limit: 7).bytes == Array("local_\n".utf8))
        for _ in 0..<15 {
            usleep(100_000)
            client.write([1])
            #expect(client.read(limit: 1).bytes == [1])
        }
        #expect(fork.near.shared.counters.active == 1)
        #expect(fork.near.shared.ownCounts.values.reduce(0, +) == 1)
        client.close()
        #expect(fork.isEmptied())
        let counters = fork.near.shared.counters
        #expect((counters.active, counters.interrupted) == (0, 0))
    }

    @Test("a client that resets between two attempts is never taken for one that has finished")
    func resetBetweenAttempts() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let count = Calls()
        let server = TestServer { if $0.read().end == .endOfFile { _ = count.next() } }
        fork.first.servers([server.port])
        for _ in 0..<5 {
            // The way over `second` does not exist.
            try fork.near.targets([
                TestProxy.Way(
                    site: fork.first.site.id,
                    cost: 1,
                    route: [fork.second.id, fork.first.id]
                )
            ])
            let client = try #require(TestSocket.connected(to: fork.port))
            client.write(Array("half a requ".utf8))
            usleep(50_000)
            client.reset()
            usleep(5_000)
            try fork.near.targets([
                TestProxy.Way(site: fork.first.site.id, cost: 1, route: [fork.first.id])
            ])
            #expect(fork.isEmptied())
        }
        #expect(count.value == 0)
    }
}

/// Counts calls from any thread.
private final class Calls: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }

    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
}
