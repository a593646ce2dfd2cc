import CertificateFixtures
import NetworkModel
import Streaming
import Synchronization
import Testing
import Wire

@testable import Proxy

/// A frame that names a stream may arrive at any loop.
@Suite("Names of streams", .timeLimit(.minutes(2)), .serialized)
struct NameTests {
    private struct Found: Sendable {
        let loop: Int
        let name: StreamName?
    }

    /// Asks one loop of `proxy` for the stream; where it was found, if it was.
    private func reach(
        _ name: StreamName,
        at proxy: TestProxy,
        from loop: Int
    ) throws -> Found? {
        let found = Promise<Found>()
        let isThere = try proxy.withEngine(loop: loop) { engine in
            engine.reach(name) { stream, loop in
                found.fulfill(Found(loop: loop.index, name: stream.name))
            }
        }
        return isThere ? found.value : nil
    }

    @Test(
        "a stream is found by its name from every loop of both its ends, and no more once it ends"
    )
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
        #expect(near.plane.names.count == 8 && far.plane.names.count == 8)
        let names = (1...8).map { StreamName(ingress: near.id, number: $0) }
        for name in names {
            for proxy in [near, far] {
                let found = try (0..<2).map { try reach(name, at: proxy, from: $0) }
                #expect(found.allSatisfy { $0?.name == name })
                #expect(found[0]?.loop == found[1]?.loop, "one loop has it")
            }
            #expect(try reach(name, at: far, from: 1)?.loop == 0, "that of the lane")
        }
        let unknown = StreamName(ingress: far.id, number: 1)
        #expect(try reach(unknown, at: far, from: 0) == nil)
        for client in clients { client.finishWriting() }
        #expect(eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } })
        for name in names { #expect(try reach(name, at: far, from: 0) == nil) }
    }
}
