import Balancing
import CertificateFixtures
import Glibc
import NetworkModel
import Streaming
import Testing
import Wire

@testable import Proxy

/// What one neighbor, client or server can do to the streams of others.
@Suite("Hostile streams", .timeLimit(.minutes(2)), .serialized)
struct HostileStreamTests {
    @Test("D9: a stream in transit that nobody answers leaves the hop after its time")
    func answerTimer() throws {
        let near = try TestProxy(FixtureSite("near"), connect: .seconds(40))
        let middle = try TestProxy(FixtureSite("middle"), answer: .milliseconds(500))
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, middle, far] { proxy.stop() } }
        try near.link(to: middle)
        try middle.link(to: far, isMute: true)
        try near.knows([far])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 2, route: [middle.id, far.id])])
        let start = EventLoop.clock()
        let client = try #require(TestSocket.connected(to: near.listen()))
        #expect(eventually { (try? middle.streamCount) == 1 })
        #expect(eventually { (try? middle.isEmpty) == true })
        #expect(EventLoop.clock() - start >= .milliseconds(500))
        let account = middle.plane.accounts.account(of: near.site.id)
        #expect(account.used(.streams) == 0)
        client.close()
    }

    @Test("D9: over a site's share of ring bytes the stream whose reader is behind is reset")
    func fullShare() throws {
        let near = try TestProxy(FixtureSite("near"))
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        // The first word says whether this server reads on.
        let server = TestServer { client in
            let word = client.read(limit: 1).bytes
            client.write(word)
            if word == [1] { while !client.read(limit: 1 << 20).bytes.isEmpty {} }
            if word == [0] { usleep(30_000_000) }
        }
        far.servers([server.port])
        let port = try near.listen()
        func connected(_ word: UInt8) throws -> TestSocket {
            let client = try #require(TestSocket.connected(to: port))
            client.write([word])
            #expect(client.read(limit: 1).bytes == [word])
            return client
        }
        let (reads, stands) = (try connected(1), try connected(0))
        // Another stream of the site holds the whole share.
        let account = far.plane.accounts.account(of: near.site.id)
        account.add(.ringBytes, account.share(.ringBytes))
        let denied = account.denied(.ringBytes)
        let slow = TestThread { stands.writePattern(64 << 20) }
        #expect(reads.writePattern(8 << 20), "who keeps up holds nothing")
        #expect(slow.value == false, "who is behind is reset")
        #expect(account.denied(.ringBytes) > denied)
        #expect(reads.writePattern(1 << 20))
        account.give(.ringBytes, account.share(.ringBytes))
        reads.close()
        stands.close()
    }

    @Test(
        "D11: a client that sends rubbish to a server that answers with RST gets nobody ejected",
        arguments: [true, false]
    )
    func rubbish(isLocal: Bool) throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer { client in
            // Resets whoever says 0, without a word.
            if client.read(limit: 1).bytes == [0] { return client.reset() }
            client.write(Array("served\n".utf8))
            _ = client.read()
        }
        let holder = isLocal ? fork.near : fork.first
        holder.servers([server.port])
        try fork.near.targets([
            TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [holder.id]),
            TestProxy.Way(site: fork.second.site.id, cost: 100, route: [fork.second.id]),
        ])
        for _ in 0..<10 {
            let rude = try #require(TestSocket.connected(to: fork.port))
            rude.write([0])
            #expect(rude.read().end == .reset)
        }
        #expect(holder.shared.usableCount == 1)
        let state = fork.near.shared.states.first { $0.target.site == holder.site.id }
        #expect(state?.condition == .usable)
        let client = try #require(TestSocket.connected(to: fork.port))
        client.write([1])
        #expect(client.read(limit: 7).bytes == Array("served\n".utf8))
        client.close()
        #expect(fork.isEmptied())
    }

    @Test("D11: what a server resets after bytes is not what a failover lost")
    func ordinaryResets() throws {
        let fork = try Fork()
        defer { fork.stop() }
        let server = TestServer { client in
            client.write(client.read(limit: 1).bytes)
            if client.read(limit: 1).bytes == [0] { return client.reset() }
            _ = client.read()
        }
        let other = TestServer.named("second")
        fork.first.servers([server.port])
        fork.second.servers([other.port])
        for _ in 0..<5 {
            let client = try #require(TestSocket.connected(to: fork.port))
            client.write([7])
            #expect(client.read(limit: 1).bytes == [7])
            client.write([0])
            #expect(client.read().end == .reset)
        }
        let kept = try #require(TestSocket.connected(to: fork.port))
        kept.write([7])
        #expect(kept.read(limit: 1).bytes == [7])
        try fork.first.cutLanes()
        #expect(kept.read().end == .reset)
        // Routing has found out as well.
        try fork.near.targets([
            TestProxy.Way(site: fork.second.site.id, cost: 100, route: [fork.second.id])
        ])
        #expect(try fork.ask() == "second\n")
        #expect(fork.isEmptied())
        let records = fork.near.shared.takeRecords()
        #expect(records.map(\.lost) == [1], "the one that was open when the lane went")
    }

    @Test("a hop that refuses a stream that is moving away leaves nothing behind on the other way")
    func refusedInUse() throws {
        let near = try TestProxy(FixtureSite("near"))
        let left = try TestProxy(FixtureSite("left"))
        let right = try TestProxy(FixtureSite("right"))
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, left, right, far] { proxy.stop() } }
        try near.link(to: left)
        try left.link(to: far)
        // Where the stream moves to says nothing.
        try near.link(to: right, isMute: true)
        try near.knows([far])
        try far.knows([near])
        let server = TestServer.named("far")
        far.servers([server.port])
        let target = far.site.id
        try near.targets([TestProxy.Way(site: target, cost: 2, route: [left.id, far.id])])
        let client = try #require(TestSocket.connected(to: near.listen()))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        try near.targets([TestProxy.Way(site: target, cost: 1, route: [right.id, far.id])])
        try near.withEngine { engine in
            for owner in engine.owners { owner.move(isLeaving: false) }
        }
        #expect(try near.crossing(to: right.id).ordinary == 1)
        let hop = left.id
        try left.withEngine { engine in
            for case let transit as TransitConnection in engine.owners {
                transit.inner.send(.refused) {
                    Refused(by: hop, reason: .noRoute).encode(into: &$0)
                }
            }
        }
        #expect(client.read().end == .reset)
        #expect(eventually { (try? near.isEmpty) == true })
        #expect(try near.crossing(to: right.id).ordinary == 0)
    }

    @Test("D11: a bridge between loops that was closed is made again for the next stream")
    func closedBridge() throws {
        let near = try TestProxy(FixtureSite("near"), loops: 2)
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far, loop: 1)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer.named("far")
        far.servers([server.port])
        let port = try near.listen()
        /// Connects until a client is one of loop 0, which has no lane.
        func clients() throws -> [TestSocket] {
            var all: [TestSocket] = []
            while try near.withEngine(loop: 0, { $0.streamCount }) == 0 {
                let client = try #require(TestSocket.connected(to: port))
                #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
                all.append(client)
                try #require(all.count < 200)
            }
            return all
        }
        let first = try clients()
        for index in [0, 1] {
            try near.withEngine(loop: index) { $0.bridge(to: 1 - index).end() }
        }
        #expect(eventually { (try? near.withEngine(loop: 0) { $0.streamCount }) == 0 })
        for client in first { client.close() }
        let second = try clients()
        for client in second {
            client.write([1])
            #expect(client.read(limit: 1).bytes == [1])
            client.close()
        }
        #expect(eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } })
    }

    @Test("D4: what is under way between two loops is bounded: no stream is opened beyond")
    func boundedBridge() throws {
        let near = try TestProxy(FixtureSite("near"), loops: 2)
        defer { near.stop() }
        let (opened, isBacklogged) = try near.withEngine(loop: 0) { engine -> (Int, Bool) in
            let bridge = engine.bridge(to: 1)
            let owner = TestOwner()
            // As long as the loop: the ends do not keep it.
            engine.loop.setLocal(owner)
            var opened = 0
            // Nothing leaves within one turn; a label that nobody has is ignored over there.
            while opened < StreamLabel.limit / 2, bridge.carrier.open(LooseEnd(of: owner)) {
                bridge.send(.acknowledgment, label: 77) { writer in
                    Acknowledgment(offset: 0, window: 0).encode(into: &writer)
                    writer.array(Array(repeating: 0, count: 100))
                }
                opened += 1
            }
            let isBacklogged = bridge.isBacklogged
            bridge.end()
            return (opened, isBacklogged)
        }
        #expect(isBacklogged)
        #expect(opened * 120 <= 2 * BridgeMeter.limit + 200, "\(opened)")
    }
}
