import Balancing
import CertificateFixtures
import NetworkModel
import ProxyContract
import Synchronization
import Testing

@testable import Proxy

/// The way of a service's connections, measured hop by hop.
@Suite("Traces", .timeLimit(.minutes(1)), .serialized)
struct TraceTests {
    private struct Chain {
        let near: TestProxy
        let middle: TestProxy
        let far: TestProxy

        init(isMute: Bool = false) throws {
            near = try TestProxy(FixtureSite("near"), connect: .milliseconds(200))
            middle = try TestProxy(FixtureSite("middle"))
            far = try TestProxy(FixtureSite("far"))
            try near.link(to: middle)
            try middle.link(to: far, isMute: isMute)
            try near.knows([middle, far])
            for other in [middle, far] { try other.knows([near]) }
        }

        var all: [TestProxy] { [near, middle, far] }
        func stop() { for proxy in all { proxy.stop() } }
        func areEmptied() -> Bool {
            eventually { all.allSatisfy { (try? $0.isEmpty) == true } }
        }
    }

    /// Nil: there was no answer within 20 s.
    private func trace(
        _ proxy: TestProxy,
        over route: [ProxyID],
        to site: SiteID
    ) throws -> Tracer.Result? {
        let told = Told()
        try proxy.withEngine { engine in
            Tracer(engine, TestProxy.backend, over: route, to: site) { result in
                told.result.withLock { $0 = result }
            }
            .start()
        }
        _ = eventually { told.result.withLock { $0 != nil } }
        return told.result.withLock { $0 }
    }

    private final class Told: Sendable {
        let result = Mutex<Tracer.Result?>(nil)
    }

    @Test("every hop answers, a stream is opened to a server, and it ends without a byte")
    func everyHop() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer.named("far")
        chain.far.servers([server.port])
        // A server of its own must not hear of it.
        let other = TestServer.named("middle")
        chain.middle.servers([other.port])
        let route = [chain.middle.id, chain.far.id]
        let result = try #require(try trace(chain.near, over: route, to: chain.far.site.id))
        #expect(result.hops.map(\.reason) == ["Answered", "Answered"])
        #expect(result.hops.allSatisfy { $0.isGood && $0.microseconds != nil })
        #expect(result.stream.isGood)
        #expect(result.stream.reason == "Opened")
        #expect(eventually { server.acceptedCount == 1 && server.openCount == 0 })
        #expect(other.acceptedCount == 0)
        #expect(chain.near.shared.counters.opened == 0)
        #expect(chain.areEmptied())
    }

    @Test(
        "what is wrong is said with whose word it is: a server that refuses, a hop without a lane, a silent one"
    )
    func faults() throws {
        let chain = try Chain(isMute: true)
        defer { chain.stop() }
        let refused = try #require(
            try trace(chain.near, over: [chain.middle.id], to: chain.middle.site.id)
        )
        #expect(refused.hops.map(\.isGood) == [true])
        #expect(!refused.stream.isGood)
        #expect(refused.stream.reason == "NoEndpoint, says \(chain.middle.id)")

        let stranger = ProxyID(site: chain.far.site.id, instance: 99)
        let lost = try #require(
            try trace(chain.near, over: [stranger], to: chain.far.site.id)
        )
        #expect(lost.hops.map(\.reason) == ["no lane leads there"])
        #expect(lost.hops.map(\.microseconds) == [nil])

        let route = [chain.middle.id, chain.far.id]
        let silent = try #require(try trace(chain.near, over: route, to: chain.far.site.id))
        #expect(silent.hops.map(\.reason) == ["Answered", "no answer"])
        #expect(silent.stream.reason == "no answer")
        #expect(chain.areEmptied())
    }

    @Test(
        "a server of the own site is connected to as a client's would be, and is not counted afterwards"
    )
    func local() throws {
        let chain = try Chain()
        defer { chain.stop() }
        let server = TestServer.named("near")
        let (shared, own) = (chain.near.shared, chain.near.site.id)
        chain.near.servers([server.port])
        _ = shared.update(targets: [], offeredAt: own, at: EventLoop.clock())
        let way = try shared.account(at: EventLoop.clock()).way(to: nil, from: own)
        #expect(way.site == own && way.route.isEmpty)
        let result = try #require(try trace(chain.near, over: way.route, to: way.site))
        #expect(result.hops.isEmpty)
        #expect(result.stream.isGood)
        #expect(eventually { server.acceptedCount == 1 && server.openCount == 0 })
        #expect(shared.account(at: EventLoop.clock()).servers.map(\.open) == [0])
        #expect(chain.areEmptied())
    }
}
