import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Testing

@testable import Proxy

/// Streams that stand still for longer than the proxy at one of their ends lets them.
@Suite("Idle streams", .timeLimit(.minutes(2)), .serialized)
struct IdleTests {
    private static let limit: Duration = .milliseconds(1_500)

    /// A client's proxy and a server's proxy, of which one has the short limit.
    private struct Pair {
        let near: TestProxy
        let far: TestProxy
        let port: UInt16

        init(_ server: TestServer, isNear: Bool, isHalfClosed: Bool) throws {
            func proxy(_ name: String, isShort: Bool) throws -> TestProxy {
                let (short, long) = (IdleTests.limit, Duration.seconds(60))
                return try TestProxy(
                    FixtureSite(name),
                    idle: isShort && !isHalfClosed ? short : long,
                    halfClosed: isShort && isHalfClosed ? short : long
                )
            }
            near = try proxy("near", isShort: isNear)
            far = try proxy("far", isShort: !isNear)
            try near.link(to: far)
            try near.knows([far])
            try far.knows([near])
            far.servers([server.port])
            try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
            port = try near.listen()
        }

        func stop() { for proxy in [near, far] { proxy.stop() } }
    }

    @Test(
        "either end resets both, once nothing has moved for as long as its limit",
        arguments: [true, false],
        [true, false]
    )
    func reset(isNear: Bool, isHalfClosed: Bool) throws {
        let server = TestServer { client in
            while client.read(limit: 1).bytes == [1] { client.write([2]) }
            // It ends nothing itself while it is waited for.
            usleep(3_000_000)
        }
        let pair = try Pair(server, isNear: isNear, isHalfClosed: isHalfClosed)
        defer { pair.stop() }
        let client = try #require(TestSocket.connected(to: pair.port))
        // Bytes put the limit off: between two of them, a machine may stand still for a second.
        for _ in 0..<4 {
            usleep(400_000)
            client.write([1])
            #expect(client.read(limit: 1).bytes == [2])
        }
        let last = EventLoop.clock()
        if isHalfClosed { client.finishWriting() }
        #expect(client.read().end == .reset)
        let waited = EventLoop.clock() - last
        #expect(waited >= Self.limit * 9 / 10, "\(waited)")
        #expect(eventually { server.openCount == 0 })
        #expect(
            eventually { [pair.near, pair.far].allSatisfy { (try? $0.isEmpty) == true } }
        )
        // It is no reason to open it elsewhere.
        #expect(pair.near.shared.counters.opened == 1)
    }
}
