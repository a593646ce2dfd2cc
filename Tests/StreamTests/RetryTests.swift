import CertificateFixtures
import Glibc
import NetworkModel
import SiteConfiguration
import Testing
import Wire

@testable import Proxy

/// What a client never sees: targets that fail before anything was exchanged.
@Suite("Another target", .timeLimit(.minutes(2)), .serialized)
struct RetryTests {
    /// A client's proxy with two sites to choose from, the first one cheaper.
    private struct Fork {
        let near: TestProxy
        let first: TestProxy
        let second: TestProxy
        let port: UInt16

        init() throws {
            near = try TestProxy(FixtureSite("near"))
            first = try TestProxy(FixtureSite("first"))
            second = try TestProxy(FixtureSite("second"))
            for far in [first, second] {
                try near.link(to: far)
                try far.knows([near])
            }
            try near.knows([first, second])
            try near.targets([
                TestProxy.Way(site: first.site.id, cost: 1, route: [first.id]),
                TestProxy.Way(site: second.site.id, cost: 100, route: [second.id]),
            ])
            port = try near.listen()
        }

        func stop() { for proxy in [near, first, second] { proxy.stop() } }

        func isEmptied() -> Bool {
            eventually { [near, first, second].allSatisfy { (try? $0.isEmpty) == true } }
        }

        /// The name that a new client hears.
        func ask() throws -> String {
            let client = try #require(TestSocket.connected(to: port))
            let line = client.read(limit: 7).bytes
            return String(decoding: line, as: UTF8.self)
        }
    }

    @Test("a target whose server refuses is replaced by the next, without the client noticing")
    func refused() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer.named("second")
        fork.first.servers([TestSocket.deadPort()])
        fork.second.servers([server.port])
        #expect(try fork.ask() == "second\n")
        #expect(fork.isEmptied())
        let counters = fork.near.shared.counters
        #expect((counters.opened, counters.failed, counters.interrupted) == (1, 0, 0))
    }

    @Test("of several servers of a target, one that refuses costs nothing")
    func otherServer() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer.named("first_")
        fork.first.servers([TestSocket.deadPort(), server.port, TestSocket.deadPort()])
        for _ in 0..<10 { #expect(try fork.ask() == "first_\n") }
        #expect(fork.isEmptied())
    }

    @Test("a target without servers, or one that drains, is replaced")
    func noServers() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer.named("second")
        fork.second.servers([server.port])
        #expect(try fork.ask() == "second\n")
        let other = TestServer.named("first_")
        fork.first.servers([other.port])
        try fork.first.publish { $0.isDraining = true }
        #expect(try fork.ask() == "second\n")
        #expect(other.acceptedCount == 0)
        #expect(fork.isEmptied())
    }

    @Test("a server that takes the connection and resets it at once is replaced")
    func resetAtOnce() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let bad = TestServer { $0.reset() }
        let server = TestServer.named("second")
        fork.first.servers([bad.port])
        fork.second.servers([server.port])
        #expect(try fork.ask() == "second\n")
        #expect(fork.isEmptied())
        #expect(fork.near.shared.counters.interrupted == 0)
    }

    @Test("a lane lost after OPENED, before any byte, moves the client to another target")
    func laneLost() throws {
        let fork = try Fork()
        defer { fork.stop() }
        // Accepts and waits: nothing is exchanged.
        let silent = TestServer { _ = $0.read() }
        let server = TestServer.named("second")
        fork.first.servers([silent.port])
        fork.second.servers([server.port])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { fork.near.shared.counters.opened == 1 })
        #expect(silent.acceptedCount == 1)
        try fork.first.cutLanes()
        #expect(client.read(limit: 7).bytes == Array("second\n".utf8))
        client.close()
        #expect(fork.isEmptied())
        #expect(fork.near.shared.counters.interrupted == 0)
    }

    @Test(
        "a server of this site that refuses is replaced by one elsewhere, and the other way round"
    )
    func localAndRemote() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let local = TestServer.named("local_")
        let remote = TestServer.named("first_")
        fork.near.servers([TestSocket.deadPort()])
        fork.first.servers([remote.port])
        try fork.near.targets([
            TestProxy.Way(site: fork.near.site.id, cost: 0, route: []),
            TestProxy.Way(site: fork.first.site.id, cost: 100, route: [fork.first.id]),
        ])
        #expect(try fork.ask() == "first_\n")
        fork.near.servers([local.port])
        fork.first.servers([TestSocket.deadPort()])
        try fork.near.targets([
            TestProxy.Way(site: fork.near.site.id, cost: 100, route: []),
            TestProxy.Way(site: fork.first.site.id, cost: 0, route: [fork.first.id]),
        ])
        #expect(try fork.ask() == "local_\n")
        #expect(fork.isEmptied())
    }

    @Test("when no target takes it, the client gets a RST soon, and it counts as failed")
    func nobody() throws {
        let fork = try Fork()
        defer { fork.stop() }
        fork.first.servers([TestSocket.deadPort()])
        fork.second.servers([TestSocket.deadPort()])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(client.read().end == .reset)
        #expect(fork.near.shared.counters.failed == 1)
        #expect(fork.isEmptied())
    }

    @Test("the only target's path lost for a moment: the client waits and gets through")
    func pathReturns() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer.named("first_")
        fork.first.servers([server.port])
        try fork.near.targets([
            TestProxy.Way(
                site: fork.first.site.id,
                cost: 1,
                route: [fork.second.id, fork.first.id]
            )
        ])
        // The way over `second` does not exist: it answers NoRoute. Then routing finds the direct one.
        let client = try #require(TestSocket.connected(to: fork.port))
        usleep(50_000)
        try fork.near.targets([
            TestProxy.Way(site: fork.first.site.id, cost: 1, route: [fork.first.id])
        ])
        #expect(client.read(limit: 7).bytes == Array("first_\n".utf8))
        client.close()
        #expect(fork.isEmptied())
    }
}
