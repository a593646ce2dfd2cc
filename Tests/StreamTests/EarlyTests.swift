import CertificateFixtures
import Foundation
import NetworkModel
import ProxyContract
import Testing

@testable import Proxy

/// Clients' first bytes, which travel with the opening of their stream.
@Suite("Early data", .timeLimit(.minutes(2)), .serialized)
struct EarlyTests {
    /// A client's proxy, a hop, and a target behind it beside one that is dearer.
    private struct Line {
        let near: TestProxy
        let hop: TestProxy
        let far: TestProxy
        let dear: TestProxy
        let port: UInt16

        init(hopKnows: Bool = true, isMute: Bool = false, isEarly: Bool = true) throws {
            let connect: Duration = isMute ? .milliseconds(600) : .seconds(3)
            near = try TestProxy(FixtureSite("near"), connect: connect)
            hop = try TestProxy(FixtureSite("hop"))
            far = try TestProxy(FixtureSite("far"))
            dear = try TestProxy(FixtureSite("dear"))
            let all = [near, hop, far, dear]
            for proxy in all { try proxy.knows(all.filter { $0.id != proxy.id }) }
            try near.link(to: hop)
            try near.link(to: dear)
            try hop.link(to: far, isMute: isMute, knowsEarly: hopKnows)
            try near.targets([
                TestProxy.Way(site: far.site.id, cost: 1, route: [hop.id, far.id]),
                TestProxy.Way(site: dear.site.id, cost: 100, route: [dear.id]),
            ])
            try near.publish { $0.services[TestProxy.backend]?.isEarly = isEarly }
            port = try near.listen()
        }

        func stop() { for proxy in [near, hop, far, dear] { proxy.stop() } }

        /// Nothing is left anywhere.
        func isEmptied() -> Bool {
            eventually { [near, hop, far, dear].allSatisfy { (try? $0.isEmpty) == true } }
        }
    }

    private static func text(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    /// Answers with all that came, once the client has finished.
    private func echo() -> TestServer {
        TestServer { client in
            client.write(client.read().bytes)
            client.finishWriting()
        }
    }

    @Test(
        "every byte arrives once, of short and of long beginnings, and where a hop knows nothing of it",
        arguments: [true, false],
        [1, 4_095, 4_096, 4_097, 100_000]
    )
    func whole(hopKnows: Bool, count: Int) throws {
        let server = echo()
        let line = try Line(hopKnows: hopKnows)
        defer { line.stop() }
        line.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: line.port))
        client.write(Self.text(count))
        client.finishWriting()
        let answer = client.read()
        #expect(answer.bytes == Self.text(count))
        #expect(answer.end == .endOfFile)
        client.close()
        #expect(line.isEmptied())
    }

    @Test("a client that says nothing is served, and one that ends at once")
    func silent() throws {
        let server = TestServer { client in
            client.write(Array("welcome\n".utf8))
            _ = client.read()
        }
        let line = try Line()
        defer { line.stop() }
        line.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: line.port))
        #expect(client.read(limit: 8).bytes == Array("welcome\n".utf8))
        client.close()
        let other = try #require(TestSocket.connected(to: line.port))
        other.finishWriting()
        #expect(other.read().bytes == Array("welcome\n".utf8))
        other.close()
        #expect(line.isEmptied())
    }

    @Test("a server of the client's own site gets them as well")
    func local() throws {
        let server = echo()
        let line = try Line()
        defer { line.stop() }
        line.near.servers([server.port])
        try line.near.targets([TestProxy.Way(site: line.near.site.id, cost: 0, route: [])])
        let client = try #require(TestSocket.connected(to: line.port))
        client.write(Self.text(500))
        client.finishWriting()
        #expect(client.read().bytes == Self.text(500))
        client.close()
        #expect(line.isEmptied())
    }

    @Test("what the egress refuses is sent to the next target, whole")
    func refused() throws {
        let server = echo()
        let line = try Line()
        defer { line.stop() }
        line.far.servers([TestSocket.deadPort()])
        line.dear.servers([server.port])
        let client = try #require(TestSocket.connected(to: line.port))
        client.write(Self.text(2_000))
        client.finishWriting()
        #expect(client.read().bytes == Self.text(2_000))
        client.close()
        #expect(line.isEmptied())
    }

    @Test(
        "when nobody says what became of them the client is reset; without them another target is tried",
        arguments: [true, false]
    )
    func unanswered(isEarly: Bool) throws {
        let server = echo()
        let line = try Line(isMute: true, isEarly: isEarly)
        defer { line.stop() }
        line.dear.servers([server.port])
        let client = try #require(TestSocket.connected(to: line.port))
        client.write(Self.text(10))
        client.finishWriting()
        let answer = client.read()
        #expect(answer.bytes == (isEarly ? [] : Self.text(10)))
        #expect(answer.end == (isEarly ? .reset : .endOfFile))
        client.close()
        #expect(eventually { (try? line.near.isEmpty) == true })
        #expect(line.near.shared.counters.opened == (isEarly ? 0 : 1))
        #expect(line.near.shared.counters.failed == (isEarly ? 1 : 0))
    }
}
