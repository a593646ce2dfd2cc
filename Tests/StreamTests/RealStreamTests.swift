import CertificateFixtures
import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import Proxy

/// Streams over real lanes on loopback, between real clients and servers.
@Suite("Streams over lanes", .timeLimit(.minutes(4)), .serialized)
struct RealStreamTests {
    /// A client's proxy, one in the middle, and a server's, in a chain.
    private struct Chain {
        let near: TestProxy
        let middle: TestProxy
        let far: TestProxy
        let port: UInt16

        init() throws {
            near = try TestProxy(FixtureSite("near"))
            middle = try TestProxy(FixtureSite("middle"))
            far = try TestProxy(FixtureSite("far"))
            try near.link(to: middle)
            try middle.link(to: far)
            try near.knows([middle, far])
            try far.knows([near, middle])
            try near.targets([
                TestProxy.Way(site: far.site.id, cost: 2, route: [middle.id, far.id])
            ])
            port = try near.listen()
        }

        var all: [TestProxy] { [near, middle, far] }

        func stop() { for proxy in all { proxy.stop() } }

        /// True once nothing of any stream is left.
        func isEmptied() -> Bool {
            eventually { all.allSatisfy { (try? $0.isEmpty) == true } }
        }
    }

    @Test("64 MiB each way at once through a transit proxy, byte for byte")
    func bulk() throws {
        let size: UInt64 = 64 << 20
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer { client in
            let writing = TestThread { client.writePattern(size) }
            let read = client.readPattern()
            _ = writing.value
            if read.isRight, read.count == size, read.end == .endOfFile { client.finishWriting() }
        }
        chain.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: chain.port))
        let writing = TestThread {
            defer { client.finishWriting() }
            return client.writePattern(size)
        }
        let read = client.readPattern()
        #expect(writing.value == true)
        #expect(read.isRight)
        #expect(read.count == size)
        #expect(read.end == .endOfFile)
        #expect(chain.isEmptied())
        let counters = chain.near.shared.counters
        #expect((counters.opened, counters.active, counters.interrupted) == (1, 0, 0))
    }

    @Test("a client that half-closes gets the answer that the server writes after the FIN")
    func halfClose() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer { client in
            let read = client.readPattern()
            guard read.isRight, read.end == .endOfFile else { return client.reset() }
            _ = client.writePattern(read.count * 2)
        }
        chain.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: chain.port))
        #expect(client.writePattern(100_000))
        client.finishWriting()
        let read = client.readPattern()
        #expect(read.isRight)
        #expect(read.count == 200_000)
        #expect(read.end == .endOfFile)
        #expect(chain.isEmptied())
    }

    @Test("a RST of the client reaches the server, and one of the server the client")
    func resets() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let ends = Promise<TestSocket.End?>()
        let first = TestServer { client in ends.fulfill(client.read().end) }
        chain.far.servers([first.port])
        let resetting = try #require(TestSocket.connected(to: chain.port))
        resetting.write([1])
        #expect(eventually { first.acceptedCount == 1 })
        resetting.reset()
        #expect(ends.value == .reset)
        #expect(chain.near.shared.counters.interrupted == 0, "the client's own doing")

        let second = TestServer { client in
            _ = client.read(limit: 1)
            client.reset()
        }
        chain.far.servers([second.port])
        let client = try #require(TestSocket.connected(to: chain.port))
        client.write([1])
        #expect(client.read().end == .reset)
        #expect(chain.isEmptied())
        #expect(chain.near.shared.counters.interrupted == 1)
    }

    @Test("1,000 streams, opened 100 at a time and closed, leave nothing behind")
    func nothingLeft() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer.named("far")
        chain.far.servers([server.port])
        for round in 0..<10 {
            let clients = (0..<100).compactMap { _ in TestSocket.connected(to: chain.port) }
            for (index, client) in clients.enumerated() {
                #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
                switch (round + index) % 3 {
                case 0: client.reset()
                case 1: client.finishWriting()
                default: client.close()
                }
            }
            for client in clients { client.close() }
        }
        #expect(chain.isEmptied())
        #expect(server.acceptedCount == 1_000)
        #expect(eventually { server.openCount == 0 }, "every server's connection has ended")
        #expect(chain.near.shared.counters.opened == 1_000)
        #expect(chain.near.shared.counters.failed == 0)
        // Every label is free again: the tables did not grow beyond what was open at a time.
        let active = try chain.near.withEngine { engine in
            engine.carrier(to: chain.middle.id, mayBridge: false)?.activeStreams
        }
        #expect(active == 0)
    }

    @Test("a lane that ends resets a client that was given bytes, and counts it as interrupted")
    func interrupted() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer.named("far")
        chain.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: chain.port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        try chain.far.cutLanes()
        #expect(client.read().end == .reset)
        #expect(chain.isEmptied())
        #expect(chain.near.shared.counters.interrupted == 1)
        #expect(chain.near.shared.counters.failed == 0)
    }

    @Test("a proxy that stops in the middle of everything resets its clients and leaves nothing")
    func stop() throws {
        let chain = try Chain()
        let server = TestServer { client in
            client.write([1])
            _ = client.read()
        }
        chain.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: chain.port))
        #expect(client.read(limit: 1).bytes == [1])
        // One that waits for a server that never answers.
        chain.far.servers([])
        let waiting = try #require(TestSocket.connected(to: chain.port))
        chain.near.stop()
        #expect(client.read().end == .reset)
        #expect(waiting.read().end == .reset)
        chain.middle.stop()
        chain.far.stop()
        #expect(eventually { server.openCount == 0 })
    }
}
