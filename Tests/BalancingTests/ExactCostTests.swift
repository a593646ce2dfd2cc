import Balancing
import NetworkModel
import TestSupport
import Testing

/// The figures that a real network of sites has to show too: connections opened one by one and held.
@Suite("Exact cost")
struct ExactCostTests {
    @Test("a local server keeps all of 320 connections before a backup of cost 9999")
    func localAndBackup() {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 9999, 1)])
        #expect(balancer.hold(320) == [320, 0])
    }

    @Test("a remote server of cost 1 keeps all of 560 connections before a backup of cost 9999")
    func remoteAndBackup() {
        var balancer = ServiceBalancer([(0, 1, 1), (1, 9999, 1)])
        #expect(balancer.hold(560) == [560, 0])
    }

    @Test("two local pods take 27 of 40, a remote one of cost 1 takes 13")
    func twoLocalPods() {
        var balancer = ServiceBalancer([(0, 0, 2), (1, 1, 1)])
        #expect(balancer.hold(40) == [27, 13])
        var pods = EndpointBalancer()
        let servers = (1...2).map {
            EndpointBalancer.Server(
                endpoint: Endpoint(address: .v4(UInt32($0)), port: 80),
                isReady: true,
                isServing: true
            )
        }
        pods.update(servers, at: .seconds(0))
        for _ in 0..<27 { _ = pods.pick(at: .seconds(1)) }
        #expect(pods.openCounts.values.sorted() == [13, 14])
    }

    @Test("a chain A-B-C and A-D, all of cost 1: C 19, of B and D the smaller SiteID 21")
    func chain() {
        var balancer = ServiceBalancer([(1, 1, 1), (2, 2, 1), (3, 1, 1)])
        #expect(balancer.hold(60) == [21, 19, 20])
    }

    @Test(
        "a difference of 50 is kept exactly at every load",
        arguments: [20, 49, 50, 51, 101, 460, 480, 500]
    )
    func difference(_ count: Int) {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 50, 1)])
        let held = balancer.hold(count)
        #expect(held.reduce(0, +) == count)
        if count <= 50 {
            #expect(held == [count, 0])
        } else {
            #expect(abs(held[0] - held[1] - 50) <= 1)
        }
    }

    @Test("20 short connections over two equal sites: 10 each")
    func trickle() {
        var balancer = ServiceBalancer([(0, 1, 1), (1, 1, 1)])
        var taken = [0, 0]
        for second in 0..<20 {
            let now = Instant.seconds(Double(second) / 5)
            guard let pick = balancer.pick(at: now) else { continue }
            balancer.opened(pick, at: now)
            balancer.release(pick)
            taken[pick.site == site(0) ? 0 : 1] += 1
        }
        #expect(taken == [10, 10])
    }

    @Test("after a random half was closed and opened again the difference is exact again")
    func reopened() {
        var random = SeededGenerator(seed: 7)
        var balancer = ServiceBalancer([(0, 1, 1), (1, 51, 1)])
        var open = (0..<500).compactMap { _ in balancer.pick(at: .seconds(1)) }
        open.shuffle(using: &random)
        for _ in 0..<250 { balancer.release(open.removeLast()) }
        open += (0..<250).compactMap { _ in balancer.pick(at: .seconds(2)) }
        let held = balancer.states.map { Int($0.own) }
        #expect(held.reduce(0, +) == 500)
        #expect(abs(held[0] - held[1] - 50) <= 1)
    }

    @Test("connections of the site's other proxies count like one's own")
    func others() {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 50, 1)])
        balancer.setOthers([site(0): 60, site(1): 5])
        #expect(balancer.pick(at: .seconds(1))?.site == site(1))
        balancer.setOthers([:])
        #expect(balancer.pick(at: .seconds(1))?.site == site(0))
    }

    @Test("a changed cost closes nothing and steers the next pick")
    func changedCost() {
        var balancer = ServiceBalancer([(0, 1, 1), (1, 20, 1)])
        #expect(balancer.hold(10) == [10, 0])
        balancer.update(
            [
                Target(site: site(0), reach: .usable(cost: PathCost(50), endpoints: 1)),
                Target(site: site(1), reach: .usable(cost: PathCost(20), endpoints: 1)),
            ],
            at: .seconds(2)
        )
        #expect(balancer.pick(at: .seconds(2))?.site == site(1))
        #expect(balancer.states.map(\.own) == [10, 1])
        #expect(balancer.takeRecords().isEmpty)
    }

    @Test("fractions are compared without rounding at the edge of the range")
    func exactFractions() {
        let large = PerceivedCost(cost: PathCost(.max - 1), open: .max, weight: .max)
        let larger = PerceivedCost(cost: PathCost(.max - 1), open: .max, weight: .max - 1)
        #expect(large < larger)
        #expect(
            PerceivedCost(cost: .zero, open: 1, weight: 3)
                < PerceivedCost(cost: .zero, open: 333_334, weight: 1_000_000)
        )
        #expect(
            PerceivedCost(cost: PathCost(1), open: 2, weight: 2)
                == PerceivedCost(cost: PathCost(2), open: 0, weight: 7)
        )
    }

    @Test("of many targets the last picks are remembered, with the first twenty that they saw")
    func manyTargets() throws {
        var balancer = ServiceBalancer((0..<1_500).map { (site: $0, cost: 1, weight: 1) })
        let picks = try (0..<250).map { _ in try unwrap(balancer.pick(at: .seconds(1))) }
        let decisions = balancer.decisions
        #expect(decisions.map(\.number) == picks.reversed().prefix(100).map(\.number))
        #expect(decisions.map(\.site) == picks.reversed().prefix(100).map(\.site))
        #expect(decisions.allSatisfy { $0.seen.count == 20 })
    }
}
