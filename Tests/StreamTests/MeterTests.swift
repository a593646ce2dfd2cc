import CertificateFixtures
import NetworkModel
import Telemetry
import Testing

@testable import Proxy

@Suite("What is measured of connections", .timeLimit(.minutes(1)), .serialized)
struct MeterTests {
    /// Answers each byte with three, until the end.
    private func server() -> TestServer {
        TestServer { client in
            while true {
                let (bytes, end) = client.read(limit: 1)
                guard end == nil, client.write(bytes + bytes + bytes) else { return }
            }
        }
    }

    private func meter(_ proxy: TestProxy, _ site: SiteID) throws -> TargetMeter? {
        for index in proxy.threads.indices {
            try proxy.withEngine(loop: index) { $0.tellMoved() }
        }
        return proxy.shared.meters[site]
    }

    /// Three connections of two clients at once, one of which goes on while the bytes are looked at.
    private func check(_ near: TestProxy, _ site: SiteID) throws {
        let port = try near.listen()
        let stays = try #require(TestSocket.connected(to: port))
        stays.write([1])
        #expect(stays.read(limit: 3).bytes == [1, 1, 1])
        let first = try #require(try meter(near, site))
        #expect((first.toServers, first.toClients) == (1, 3))
        #expect((first.connect.count, first.firstByte.count) == (1, 1))
        #expect(first.connect.sum > 0 && first.firstByte.sum >= first.connect.sum)
        // Looked at again, nothing counts twice.
        #expect(try meter(near, site) == first)
        for _ in 0..<2 {
            let client = try #require(TestSocket.connected(to: port))
            client.write([1, 2])
            #expect(client.read(limit: 6).bytes.count == 6)
            client.finishWriting()
            #expect(client.read().end == .endOfFile)
        }
        stays.write([1])
        #expect(stays.read(limit: 3).bytes == [1, 1, 1])
        stays.reset()
        #expect(eventually { (try? near.streamCount) == 0 })
        let last = try #require(try meter(near, site))
        #expect((last.toServers, last.toClients) == (6, 18))
        #expect((last.connect.count, last.firstByte.count) == (3, 3))
        #expect(near.shared.meters.count == 1)
    }

    @Test("bytes and times of connections to another site")
    func remote() throws {
        let (near, far) = (try TestProxy(FixtureSite("near")), try TestProxy(FixtureSite("far")))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = server()
        far.servers([server.port])
        try check(near, far.site.id)
        #expect(far.shared.meters.isEmpty, "the ingress measures")
    }

    @Test("bytes and times of connections within a site")
    func local() throws {
        let proxy = try TestProxy(FixtureSite("near"), loops: 2)
        defer { proxy.stop() }
        try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
        let server = server()
        proxy.servers([server.port])
        try check(proxy, proxy.site.id)
    }

    @Test("a client that no target takes is not measured")
    func refused() throws {
        let proxy = try TestProxy(FixtureSite("near"))
        defer { proxy.stop() }
        try proxy.targets([TestProxy.Way(site: proxy.site.id, cost: 0, route: [])])
        proxy.servers([TestSocket.deadPort()])
        let client = try #require(TestSocket.connected(to: try proxy.listen()))
        #expect(client.read().end == .reset)
        #expect(try meter(proxy, proxy.site.id) == nil)
    }
}
