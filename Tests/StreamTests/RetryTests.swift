import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import Proxy

/// What a client never sees: targets that fail before anything was exchanged.
@Suite("Another target", .timeLimit(.minutes(2)), .serialized)
struct RetryTests {
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

    /// Another gateway of the first site.
    private func twin(_ fork: Fork) throws -> TestProxy {
        let twin = try TestProxy(fork.first.site, instance: 2)
        try fork.near.link(to: twin)
        try twin.knows([fork.near])
        try fork.near.knows([fork.first, fork.second, twin])
        return twin
    }

    @Test(
        "one gateway that drains, or does not know the service yet, does not speak for its site",
        arguments: [true, false]
    )
    func oneGateway(drains: Bool) throws {
        let fork = try Fork()
        defer { fork.stop() }
        let twin = try twin(fork)
        defer { twin.stop() }
        let (own, other) = (TestServer.named("first_"), TestServer.named("twin__"))
        fork.first.servers([own.port])
        twin.servers([other.port])
        try fork.near.targets([
            TestProxy.Way(
                site: fork.first.site.id,
                cost: 1,
                route: [fork.first.id],
                detours: [[fork.second.id, fork.first.id], [twin.id]]
            )
        ])
        try fork.first.publish { view in
            if drains { view.isDraining = true } else { view.services = [:] }
        }
        for _ in 0..<3 { #expect(try fork.ask() == "twin__\n") }
        #expect(own.acceptedCount == 0)
        #expect(fork.near.shared.counters.failed == 0)
        #expect(fork.isEmptied())
    }

    @Test("while the only gateway that is known drains, routing is waited for")
    func waitsForAnotherGateway() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let twin = try twin(fork)
        defer { twin.stop() }
        let server = TestServer.named("twin__")
        twin.servers([server.port])
        try fork.near.targets([
            TestProxy.Way(site: fork.first.site.id, cost: 1, route: [fork.first.id])
        ])
        try fork.first.publish { $0.isDraining = true }
        let client = try #require(TestSocket.connected(to: fork.port))
        // As long as a machine may stand still.
        usleep(1_000_000)
        try fork.near.targets([
            TestProxy.Way(site: fork.first.site.id, cost: 1, route: [twin.id])
        ])
        #expect(String(decoding: client.read(limit: 7).bytes, as: UTF8.self) == "twin__\n")
        #expect(fork.near.shared.counters.failed == 0)
    }

    @Test("however many ways lead nowhere for a moment, the client waits for one that does")
    func manyWays() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer.named("first_")
        fork.first.servers([server.port])
        let site = fork.first.site.id
        let ghosts = (10..<18).map { ProxyID(site: site, instance: $0) }
        var keys = try Dictionary(
            uniqueKeysWithValues: [fork.first.id, fork.second.id].map {
                ($0, try #require(fork.near.key(for: $0)))
            }
        )
        for ghost in ghosts { keys[ghost] = Array(repeating: 1, count: 32) }
        let ring = KeyRing(keys)
        try fork.near.publish { $0.keys = ring }
        // The second site's proxy, which is to pass the stream on, has no lane to any of them.
        try fork.near.targets([
            TestProxy.Way(
                site: site,
                cost: 1,
                route: [fork.second.id, ghosts[0]],
                detours: ghosts.dropFirst().map { [fork.second.id, $0] }
            )
        ])
        let client = try #require(TestSocket.connected(to: fork.port))
        usleep(1_000_000)
        try fork.near.targets([TestProxy.Way(site: site, cost: 1, route: [fork.first.id])])
        #expect(String(decoding: client.read(limit: 7).bytes, as: UTF8.self) == "first_\n")
        #expect(fork.near.shared.counters.failed == 0)
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

    @Test(
        "a server that resets what it takes is left alone, and its site is not",
        arguments: [true, false]
    )
    func oneResets(isLocal: Bool) throws {
        let fork = try Fork()
        defer { fork.stop() }
        // Late enough for the connect to have succeeded.
        let bad = TestServer { client in
            usleep(5_000)
            client.reset()
        }
        let good = TestServer.named("good__")
        let other = TestServer.named("second")
        let holder = isLocal ? fork.near : fork.first
        holder.servers([bad.port, good.port])
        fork.second.servers([other.port])
        try fork.near.targets([
            TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [holder.id]),
            TestProxy.Way(site: fork.second.site.id, cost: 100, route: [fork.second.id]),
        ])
        for _ in 0..<20 { #expect(try fork.ask() == "good__\n") }
        #expect((1...5).contains(bad.acceptedCount))
        #expect(fork.isEmptied())
        #expect(other.acceptedCount == 0)
        #expect(fork.near.shared.counters.interrupted == 0)
    }

    @Test(
        "P8: a server that accepts and closes at once gets nobody while another one serves",
        arguments: [true, false]
    )
    func failsFast(isLocal: Bool) throws {
        let fork = try Fork()
        defer { fork.stop() }
        let bad = TestServer { client in
            usleep(5_000)
            client.close()
        }
        // Silent until the client, who is silent as well, has waited for a while.
        let good = TestServer { client in
            usleep(50_000)
            client.write(Array("good__\n".utf8))
            _ = client.read()
        }
        let holder = isLocal ? fork.near : fork.first
        holder.servers([bad.port, good.port])
        try fork.near.targets([
            TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [holder.id])
        ])
        for _ in 0..<20 { #expect(try fork.ask() == "good__\n") }
        #expect((1...5).contains(bad.acceptedCount))
        #expect(fork.isEmptied())
    }

    @Test(
        "P8: an end that answers the client's own, or comes after a byte, is no failure",
        arguments: [true, false]
    )
    func orderlyEnds(isLocal: Bool) throws {
        let fork = try Fork()
        defer { fork.stop() }
        // Ends when the client has, without a word.
        let polite = TestServer { client in
            _ = client.read()
            client.close()
        }
        let banner = TestServer { client in
            client.write(Array("hello\n".utf8))
            client.close()
        }
        let holder = isLocal ? fork.near : fork.first
        try fork.near.targets([
            TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [holder.id])
        ])
        holder.servers([polite.port])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { polite.acceptedCount == 1 })
        client.finishWriting()
        let end = client.read()
        #expect(end.bytes.isEmpty && end.end == .endOfFile)
        #expect(holder.shared.usableCount == 1)
        holder.servers([banner.port])
        let other = try #require(TestSocket.connected(to: fork.port))
        let said = other.read()
        #expect(said.bytes == Array("hello\n".utf8) && said.end == .endOfFile)
        other.close()
        client.close()
        #expect(holder.shared.usableCount == 1)
        #expect(fork.isEmptied())
        #expect(fork.near.shared.counters.interrupted == 0)
    }

    @Test(
        "P2: a service that leads to itself gets one connection, and takes no more",
        arguments: [1, 2]
    )
    func leadsToItself(loops: Int) throws {
        let proxy = try TestProxy(FixtureSite("loop"), loops: loops)
        defer { proxy.stop() }
        let port = try proxy.listen()
        proxy.servers([port])
        try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
        let client = try #require(TestSocket.connected(to: port))
        #expect(client.read().end == .reset)
        #expect(eventually { (try? proxy.isEmpty) == true })
        let counters = proxy.shared.counters
        // A loop may accept before the other has noted its own end: then once more at most.
        #expect((1...3).contains(counters.refused))
        #expect(proxy.shared.ownServers == [Endpoint(address: loopback, port: port)])
        #expect(proxy.shared.usableCount == 0)
        // From now on nothing is even tried.
        let second = try #require(TestSocket.connected(to: port))
        #expect(second.read().end == .reset)
        #expect(proxy.shared.counters.refused == counters.refused)
    }

    @Test("what a client said meanwhile goes to the server that takes the place of one that reset")
    func earlyBytes() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let mayReset = Promise<Bool>()
        let bad = TestServer { client in
            _ = mayReset.value
            client.reset()
        }
        // Its queue is full: a connection to it is neither taken nor refused.
        let (deaf, deafPort) = TestSocket.listening(backlog: 0)
        let filler = TestSocket.connected(to: deafPort)
        let good = TestServer { $0.write($0.read().bytes + Array("!".utf8)) }
        fork.first.servers([bad.port])
        let client = try #require(TestSocket.connected(to: fork.port))
        #expect(eventually { bad.acceptedCount == 1 })
        fork.first.servers([bad.port, deafPort, good.port])
        let busy = try #require(
            fork.first.shared.pickServer(
                excluding: [bad.port, deafPort].map { Endpoint(address: loopback, port: $0) },
                at: EventLoop.clock()
            )
        )
        mayReset.fulfill(true)
        #expect(eventually { bad.openCount == 0 })
        // A turn of the loop that has the RST: now `deaf` is asked.
        _ = try fork.first.streamCount
        client.write(Array("question".utf8))
        client.finishWriting()
        #expect(client.read().bytes == Array("question!".utf8))
        fork.first.shared.serverReleased(busy)
        #expect(fork.isEmptied())
        #expect(bad.acceptedCount == 1)
        filler?.close()
        deaf.close()
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
        #expect(eventually { silent.acceptedCount == 1 })
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
        #expect(eventually { (try? fork.near.streamCount) == 1 })
        try fork.near.targets([
            TestProxy.Way(site: fork.first.site.id, cost: 1, route: [fork.first.id])
        ])
        #expect(client.read(limit: 7).bytes == Array("first_\n".utf8))
        client.close()
        #expect(fork.isEmptied())
    }
}
