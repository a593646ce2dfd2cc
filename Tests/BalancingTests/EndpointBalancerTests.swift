import Balancing
import NetworkModel
import Testing

@Suite("Endpoints")
struct EndpointBalancerTests {
    private func server(
        _ number: UInt32,
        ready: Bool = true,
        serving: Bool = true
    ) -> EndpointBalancer.Server {
        EndpointBalancer.Server(
            endpoint: Endpoint(address: .v4(number), port: 80),
            isReady: ready,
            isServing: serving
        )
    }

    @Test("the fewest open connections, then the one picked longest ago")
    func order() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2), server(3)])
        let picks = (0..<6).compactMap { _ in balancer.pick(at: .seconds(1)) }
        let first = picks.prefix(3).map(\.endpoint.address)
        #expect(first == [.v4(1), .v4(2), .v4(3)])
        #expect(picks.suffix(3).map(\.endpoint.address) == first)
        balancer.release(picks[1])
        #expect(balancer.pick(at: .seconds(1))?.endpoint == picks[1].endpoint)
    }

    @Test("servers that terminate are used when none is ready, and none when none serves")
    func terminating() {
        var balancer = EndpointBalancer()
        balancer.update([server(1, ready: false), server(2)])
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        balancer.update([server(1, ready: false), server(2, ready: false, serving: false)])
        #expect(balancer.readyCount == 0 && balancer.terminatingCount == 1)
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(1))
        balancer.update([server(1, ready: false, serving: false)])
        #expect(balancer.pick(at: .seconds(1)) == nil)
    }

    @Test("a server that failed is avoided, probed again, and used when it is the only one")
    func failure() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, at: .seconds(1))
        for _ in 0..<3 { #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2)) }
        let probe = try unwrap(balancer.pick(at: .seconds(2)))
        #expect(probe.endpoint == first.endpoint, "the probe is due")
        #expect(balancer.pick(at: .seconds(2))?.endpoint.address == .v4(2), "one at a time")
        balancer.opened(probe, at: .seconds(2))
        #expect(balancer.pick(at: .seconds(2))?.endpoint == first.endpoint)
        balancer.update([server(1)])
        let only = try unwrap(balancer.pick(at: .seconds(3)))
        balancer.failed(only, at: .seconds(3))
        #expect(balancer.pick(at: .seconds(3))?.endpoint == only.endpoint)
        #expect(balancer.pick(excluding: [only.endpoint], at: .seconds(3)) == nil)
    }

    @Test("a probe that was given up makes room for the next; others neither end nor lengthen it")
    func probe() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)])
        let early = try unwrap(balancer.pick(at: .seconds(1)))
        _ = balancer.pick(at: .seconds(1))
        let failed = try unwrap(balancer.pick(at: .seconds(1)))
        #expect(early.endpoint == failed.endpoint)
        balancer.failed(failed, at: .seconds(1))
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        let given = try unwrap(balancer.pick(at: .seconds(2)))
        #expect(given.endpoint == early.endpoint)
        // A connection from before the ejection says nothing about the probe.
        balancer.release(early)
        #expect(balancer.pick(at: .seconds(2))?.endpoint.address == .v4(2))
        balancer.release(given)
        #expect(balancer.pick(at: .seconds(2))?.endpoint == given.endpoint)
    }

    @Test("a server that takes connections and resets them is left alone for longer each time")
    func relapse() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)])
        // Holds more than the other will in this test.
        for _ in 0..<100 { _ = balancer.pick(excluding: [server(1).endpoint], at: .seconds(1)) }
        var now = Instant.seconds(1)
        var waits: [Duration] = []
        var pick = try unwrap(balancer.pick(at: now))
        for _ in 0..<4 {
            #expect(pick.endpoint.address == .v4(1))
            balancer.opened(pick, at: now)
            balancer.failed(pick, at: now)
            let failedAt = now
            pick = try unwrap(balancer.pick(at: now))
            while pick.endpoint.address == .v4(2) {
                balancer.release(pick)
                now = now + .milliseconds(100)
                pick = try unwrap(balancer.pick(at: now))
            }
            waits.append(now - failedAt)
        }
        #expect(waits == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4)])
    }

    @Test("connections to a removed server stay counted until they are released")
    func removed() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1)])
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.update([server(2)])
        #expect(balancer.pick(at: .seconds(1))?.endpoint.address == .v4(2))
        #expect(balancer.openCounts.count == 2)
        balancer.release(pick)
        #expect(balancer.openCounts.count == 1)
    }
}
