import Balancing
import CertificateFixtures
import NetworkModel
import Testing
import Wire

@testable import Proxy

@Suite("PROXY protocol", .timeLimit(.minutes(1)), .serialized)
struct ProxyHeaderTests {
    /// A server that sends back the header that it was sent, and `before`.
    private func echoingServer(before: [UInt8] = []) -> TestServer {
        TestServer { client in
            client.write(before)
            let header = client.read(limit: 28).bytes
            client.write(header)
            let rest = client.read()
            guard rest.end == .endOfFile else { return client.reset() }
            client.write(rest.bytes)
            client.finishWriting()
        }
    }

    /// What the server behind `proxy` is told of a client of `port`: its header, and then what it sent.
    private func check(_ port: UInt16, server: UInt16, before: [UInt8] = []) throws {
        let client = try #require(TestSocket.connected(to: port))
        // A server may speak first: the header does not wait for the client's bytes.
        #expect(client.read(limit: before.count).bytes == before)
        let wanted = ProxyHeader.proxied(
            client: Endpoint(address: loopback, port: client.localPort),
            server: Endpoint(address: loopback, port: server)
        )
        #expect(client.read(limit: 28).bytes == wanted)
        client.write([7, 8, 9])
        client.finishWriting()
        let (bytes, end) = client.read()
        #expect(bytes == [7, 8, 9] && end == .endOfFile)
    }

    @Test("the header comes first, with the true client, over two links", arguments: [[], [1, 2]])
    func overLinks(before: [UInt8]) throws {
        let near = try TestProxy(FixtureSite("near"))
        let middle = try TestProxy(FixtureSite("middle"))
        let far = try TestProxy(FixtureSite("far"))
        let all = [near, middle, far]
        defer { for proxy in all { proxy.stop() } }
        try near.link(to: middle)
        try middle.link(to: far)
        for proxy in all { try proxy.knows(all.filter { $0 !== proxy }) }
        try near.targets([TestProxy.Way(site: far.site.id, cost: 2, route: [middle.id, far.id])])
        try far.publish { $0.services[TestProxy.backend]?.introducesClients = true }
        let server = echoingServer(before: before)
        far.servers([server.port])
        try check(try near.listen(), server: server.port, before: before)
    }

    @Test("a server of the same site is told as well")
    func local() throws {
        let proxy = try TestProxy(FixtureSite("near"))
        defer { proxy.stop() }
        try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
        try proxy.publish { $0.services[TestProxy.backend]?.introducesClients = true }
        let server = echoingServer()
        proxy.servers([server.port])
        try check(try proxy.listen(), server: server.port)
    }

    @Test("the server that takes the place of one that reset at once is sent a header of its own")
    func replaced() throws {
        let proxy = try TestProxy(FixtureSite("near"))
        defer { proxy.stop() }
        try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
        try proxy.publish { $0.services[TestProxy.backend]?.introducesClients = true }
        let (failing, server) = (TestServer { $0.reset() }, echoingServer())
        let port = try proxy.listen()
        for _ in 0..<4 {
            proxy.servers([failing.port, server.port])
            try check(port, server: server.port)
        }
        #expect(failing.acceptedCount > 0)
    }

    @Test("a server that is left out is looked after with a header that names nobody")
    func probe() throws {
        let proxy = try TestProxy(FixtureSite("near"))
        defer { proxy.stop() }
        let greeting = Promise<[UInt8]>()
        let server = TestServer { greeting.fulfill($0.read().bytes) }
        proxy.servers([server.port])
        let entry = ServiceEntry(
            shared: proxy.shared,
            timeouts: .standard,
            introducesClients: true
        )
        let now = EventLoop.clock()
        for _ in 0..<10 {
            guard let pick = proxy.shared.pickServer(at: now) else { break }
            proxy.shared.serverFailed(pick, .refused, at: now)
        }
        try proxy.threads[0].run { loop in
            let prober = ServerProber(loop: loop)
            loop.setLocal(prober)
            prober.look(at: entry)
        }
        #expect(greeting.value == ProxyHeader.local)
    }
}
