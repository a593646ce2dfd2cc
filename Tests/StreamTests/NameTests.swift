import CertificateFixtures
import NetworkModel
import Streaming
import Testing
import Wire

@testable import Proxy

/// A RESUME that names a stream may arrive at any loop of its egress.
@Suite("Names of streams", .timeLimit(.minutes(2)), .serialized)
struct NameTests {
    @Test("a stream is found by its name at its egress, at the loop of its lane, until it ends")
    func everyLoop() throws {
        let near = try TestProxy(FixtureSite("near"), loops: 2)
        let far = try TestProxy(FixtureSite("far"), loops: 2)
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far, loop: 1, otherLoop: 0)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer { client in
            while !client.read(limit: 1).bytes.isEmpty { client.write([1]) }
        }
        far.servers([server.port])
        let port = try near.listen()
        let clients = try (0..<8).map { _ in try #require(TestSocket.connected(to: port)) }
        for client in clients {
            client.write([1])
            #expect(client.read(limit: 1).bytes == [1])
        }
        #expect(near.plane.names.count == 0, "what names a stream comes from its ingress")
        #expect(far.plane.names.count == 8)
        let names = (1...8).map { StreamName(ingress: near.id, number: $0) }
        for name in names { #expect(far.plane.names.find(name)?.loop == 0) }
        let unknown = StreamName(ingress: far.id, number: 1)
        #expect(far.plane.names.find(unknown) == nil)
        for client in clients { client.finishWriting() }
        #expect(eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } })
        for name in names { #expect(far.plane.names.find(name) == nil) }
    }
}
