import CertificateFixtures
import Glibc
import NetworkModel
import Testing

@testable import Proxy

/// Clients that pause, and clients that are gone without a word.
@Suite("Silent clients", .timeLimit(.minutes(2)), .serialized)
struct SilenceTests {
    private static let limit: Duration = .milliseconds(600)

    /// A client's proxy with the server at its own site, or behind a lane.
    private struct Pair {
        let near: TestProxy
        let far: TestProxy
        let port: UInt16

        init(isLocal: Bool, _ server: TestServer) throws {
            near = try TestProxy(FixtureSite("near"), silence: SilenceTests.limit)
            far = try TestProxy(FixtureSite("far"))
            try near.link(to: far)
            try near.knows([far])
            try far.knows([near])
            let holder = isLocal ? near : far
            holder.servers([server.port])
            try near.targets([
                TestProxy.Way(site: holder.site.id, cost: 1, route: isLocal ? [] : [far.id])
            ])
            port = try near.listen()
        }

        func stop() { for proxy in [near, far] { proxy.stop() } }
    }

    private static let size: UInt64 = 32 << 20

    @Test(
        "a client that pauses for longer than the limit gets every byte",
        arguments: [true, false]
    )
    func pause(isLocal: Bool) throws {
        let server = TestServer { client in
            if client.writePattern(Self.size) { client.finishWriting() }
            _ = client.read()
        }
        let pair = try Pair(isLocal: isLocal, server)
        defer { pair.stop() }
        let client = try #require(TestSocket.connected(to: pair.port))
        #expect(client.readPattern(limit: 1).isRight)
        usleep(3_000_000)
        let rest = client.readPattern(from: 1)
        #expect(rest.isRight)
        #expect(rest.count == Self.size)
        #expect(rest.end == .endOfFile)
    }

    @Test("a client that vanishes while bytes are under way is given up", arguments: [true, false])
    func vanish(isLocal: Bool) throws {
        let server = TestServer { _ = $0.writePattern(Self.size) }
        let pair = try Pair(isLocal: isLocal, server)
        defer { pair.stop() }
        let client = try #require(TestSocket.connected(to: pair.port))
        #expect(client.readPattern(limit: 1_000).isRight)
        client.vanish()
        let start = EventLoop.clock()
        #expect(
            eventually {
                [pair.near, pair.far].allSatisfy { (try? $0.isEmpty) == true }
            }
        )
        #expect(EventLoop.clock() - start >= Self.limit)
        #expect(eventually { server.openCount == 0 })
    }
}
