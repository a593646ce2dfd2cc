import CertificateFixtures
import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import Proxy

@Suite("Loops and sidecars", .timeLimit(.minutes(2)), .serialized)
struct LoopAndSidecarTests {
    @Test(
        "a loop without a lane uses another's: 32 clients over two loops, one lane, 1 MiB each way"
    )
    func bridge() throws {
        let near = try TestProxy(FixtureSite("near"), loops: 2)
        let far = try TestProxy(FixtureSite("far"))
        defer {
            near.stop()
            far.stop()
        }
        try near.link(to: far, loop: 1)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let size: UInt64 = 1 << 20
        let server = TestServer { client in
            let writing = TestThread { client.writePattern(size) }
            let read = client.readPattern()
            _ = writing.value
            if read.isRight, read.count == size { client.finishWriting() }
        }
        far.servers([server.port])
        let port = try near.listen()
        let clients = (0..<32).map { _ in
            TestThread { () -> Bool in
                guard let client = TestSocket.connected(to: port) else { return false }
                let writing = TestThread {
                    defer { client.finishWriting() }
                    return client.writePattern(size)
                }
                let read = client.readPattern()
                return writing.value == true && read.isRight && read.count == size
                    && read.end == .endOfFile
            }
        }
        for client in clients { #expect(client.value == true) }
        #expect(eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } })
    }

    @Test("transit between lanes of different loops works through a bridge")
    func transitBridge() throws {
        let near = try TestProxy(FixtureSite("near"))
        let middle = try TestProxy(FixtureSite("middle"), loops: 2)
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, middle, far] { proxy.stop() } }
        try near.link(to: middle, otherLoop: 0)
        try middle.link(to: far, loop: 1)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 2, route: [middle.id, far.id])])
        let server = TestServer.named("far")
        far.servers([server.port])
        let client = try #require(TestSocket.connected(to: near.listen()))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        client.write(Array("ping".utf8))
        #expect(client.read(limit: 4).bytes == Array("ping".utf8))
        try middle.cutLanes()
        #expect(client.read().end == .reset)
        #expect(eventually { [near, middle, far].allSatisfy { (try? $0.isEmpty) == true } })
    }

    @Test("a sidecar's stream goes through its gateway, which vouches for it")
    func sidecar() throws {
        let site = try FixtureSite("home")
        let sidecar = try TestProxy(site, instance: 7, isSidecar: true)
        let gateway = try TestProxy(site, instance: 1)
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [sidecar, gateway, far] { proxy.stop() } }
        try sidecar.link(to: gateway)
        try gateway.link(to: far)
        try gateway.knows([far])
        try far.knows([gateway])
        let remote = TestServer.named("far_")
        let local = TestServer.named("home")
        far.servers([remote.port])
        gateway.servers([local.port])
        let port = try sidecar.listen()
        try sidecar.targets([
            TestProxy.Way(site: far.site.id, cost: 1, route: [gateway.id, far.id])
        ])
        let first = try #require(TestSocket.connected(to: port))
        #expect(first.read(limit: 5).bytes == Array("far_\n".utf8))
        try sidecar.targets([TestProxy.Way(site: site.id, cost: 0, route: [gateway.id])])
        let second = try #require(TestSocket.connected(to: port))
        #expect(second.read(limit: 5).bytes == Array("home\n".utf8))
        first.close()
        second.close()
        #expect(eventually { [sidecar, gateway, far].allSatisfy { (try? $0.isEmpty) == true } })
    }
}
