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
        let first = picks.prefix(3).map(\.address)
        #expect(first == [.v4(1), .v4(2), .v4(3)])
        #expect(picks.suffix(3).map(\.address) == first)
        balancer.release(picks[1])
        #expect(balancer.pick(at: .seconds(1)) == picks[1])
    }

    @Test("servers that terminate are used when none is ready, and none when none serves")
    func terminating() {
        var balancer = EndpointBalancer()
        balancer.update([server(1, ready: false), server(2)])
        #expect(balancer.pick(at: .seconds(1))?.address == .v4(2))
        #expect(balancer.pick(at: .seconds(1))?.address == .v4(2))
        balancer.update([server(1, ready: false), server(2, ready: false, serving: false)])
        #expect(balancer.readyCount == 0 && balancer.terminatingCount == 1)
        #expect(balancer.pick(at: .seconds(1))?.address == .v4(1))
        balancer.update([server(1, ready: false, serving: false)])
        #expect(balancer.pick(at: .seconds(1)) == nil)
    }

    @Test("a server that failed is avoided, probed again, and used when it is the only one")
    func failure() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1), server(2)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, at: .seconds(1))
        for _ in 0..<3 { #expect(balancer.pick(at: .seconds(1))?.address == .v4(2)) }
        #expect(balancer.pick(at: .seconds(2)) == first, "the probe is due")
        #expect(balancer.pick(at: .seconds(2))?.address == .v4(2), "one probe at a time")
        balancer.opened(first)
        #expect(balancer.pick(at: .seconds(2)) == first)
        balancer.update([server(1)])
        let only = try unwrap(balancer.pick(at: .seconds(3)))
        balancer.failed(only, at: .seconds(3))
        #expect(balancer.pick(at: .seconds(3)) == only)
        #expect(balancer.pick(excluding: [only], at: .seconds(3)) == nil)
    }

    @Test("connections to a removed server stay counted until they are released")
    func removed() throws {
        var balancer = EndpointBalancer()
        balancer.update([server(1)])
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.update([server(2)])
        #expect(balancer.pick(at: .seconds(1))?.address == .v4(2))
        #expect(balancer.openCounts.count == 2)
        balancer.release(pick)
        #expect(balancer.openCounts.count == 1)
    }
}
