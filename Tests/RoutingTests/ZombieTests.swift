import NetworkModel
import Routing
import TestSupport
import Testing

/// Advertisements of gateways that are gone, sent again by somebody who kept them.
@Suite("Zombies")
struct ZombieTests {
    /// W (0), V (1) and the malicious member M (2), all linked with each other; V's link to M is cheap.
    private func network(_ seed: UInt64) -> SimulatedNetwork {
        var network = SimulatedNetwork(seed: seed)
        for index in 0..<3 { network.add(gateway(index), services: [service("s/p"): 1]) }
        network.connect(gateway(0), gateway(1), link("wv"), cost: 10)
        network.connect(gateway(0), gateway(2), link("wm"), cost: 1)
        network.connect(gateway(2), gateway(1), link("mv"), cost: 1)
        network.run(milliseconds: 5_000)
        return network
    }

    private func believed(_ network: SimulatedNetwork, _ id: ProxyID) -> Bool {
        network.instances[gateway(0)]?.headers.contains { $0.key.origin == id } == true
    }

    /// M tells W of everything that it ever heard of V, again.
    private func replay(_ network: inout SimulatedNetwork, of site: SiteID) {
        for signed in network.recorded where signed.lsa.origin.site == site {
            network.feed(.received(signed, from: gateway(2)), to: gateway(0))
        }
    }

    @Test("D2: what was forgotten does not come back with what is older than it", arguments: 1...5)
    func olderThanForgotten(seed: UInt64) {
        var network = network(seed)
        // V takes M out of `allow` and restarts.
        let mv = SimulatedNetwork.Link(
            from: gateway(2),
            to: gateway(1),
            name: .link(dialer: site(2), name: link("mv"))
        )
        network.cut(mv)
        network.run(milliseconds: 2_000)
        network.remove(gateway(1))
        network.add(gateway(1, 2), services: [service("s/p"): 1])
        network.connect(gateway(0), gateway(1, 2), link("wv"), cost: 10)
        network.run(milliseconds: 80_000)
        #expect(!believed(network, gateway(1)), "forgotten after a minute")
        let old = network.recorded.filter { $0.lsa.origin == gateway(1) }
        #expect(old.count > 1)
        // All but the last one, which names M no longer.
        for signed in old.dropLast() {
            network.feed(.received(signed, from: gateway(2)), to: gateway(0))
        }
        #expect(!believed(network, gateway(1)), "seed \(seed)")
        replay(&network, of: site(1))
        network.run(milliseconds: 20_000)
        let target = network.instances[gateway(0)]?.table.services[service("s/p")]?
            .first { $0.site == site(1) }
        #expect(target?.target.reach.cost == PathCost(10))
        #expect(target?.routes == [[gateway(1, 2)]])
    }

    @Test("D2: an advertisement is refused beyond its lifetime and the slack of clocks")
    func lifetime() {
        var network = network(7)
        network.remove(gateway(1))
        // M keeps the edge alive in V's name.
        network.run(milliseconds: 1_000)
        let seconds = Int(RoutingLimits.lifetime) + Int(RoutingLimits.clockSlack)
        replay(&network, of: site(1))
        network.run(milliseconds: (seconds - 120) * 1_000)
        network.run(milliseconds: 240_000)
        #expect(!believed(network, gateway(1)))
        let before = network.instances[gateway(0)]?.refusals ?? 0
        replay(&network, of: site(1))
        #expect(!believed(network, gateway(1)))
        #expect(network.instances[gateway(0)]?.refusals ?? 0 > before)
        network.run(milliseconds: 20_000)
        #expect(network.complaints() == [])
    }

    @Test("D2: one that is held ages out although nobody revokes it, and its routes with it")
    func agesOut() {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.interest(.all), at: .milliseconds(0))
        let name = EdgeName.link(dialer: site(1), name: link("l"))
        _ = instance.handle(
            .adjacency(neighbor: gateway(1), edges: [name]),
            at: .milliseconds(1_000)
        )
        let lsa = LSA(
            origin: gateway(1),
            sequence: 1,
            issued: wall(.milliseconds(1_000)),
            edges: [LSAEdge(neighbor: gateway(0), name: name, cost: cost(2))],
            services: [LSAService(service: service("s/p"), endpoints: 1)]
        )
        _ = instance.handle(
            .received(SignedLSA(lsa: lsa, bytes: [1]), from: gateway(1)),
            at: .milliseconds(2_000)
        )
        #expect(instance.table.services[service("s/p")]?.first?.target.reach.cost == PathCost(2))
        let end = Instant.milliseconds(1_000 + 2_100_000)
        _ = instance.handle(.deadline, at: .milliseconds(2_000_000))
        #expect(instance.table.gateways.count == 1)
        _ = instance.handle(.deadline, at: end)
        #expect(instance.table.gateways.isEmpty)
        #expect(instance.table.services.isEmpty)
    }

    @Test(
        "D2: clocks that differ by less than five minutes disturb nobody, over hours",
        arguments: [-290, 0, 290] as [Int64]
    )
    func skew(seconds: Int64) {
        var network = SimulatedNetwork(seed: 3)
        network.skews[gateway(1)] = seconds
        for index in 0..<4 { network.add(gateway(index), services: [service("s/p"): 1]) }
        for index in 0..<3 {
            network.connect(gateway(index), gateway(index + 1), link("l\(index)"), cost: 1)
        }
        network.run(milliseconds: 5_000)
        let changes = network.changes
        network.run(milliseconds: 4 * 3_600_000)
        #expect(network.complaints() == [])
        #expect(network.changes == changes)
        #expect(network.instances.values.allSatisfy { $0.refusals == 0 })
    }

    @Test("D2: one whose clock is an hour ahead is not believed, and is again once it was set")
    func hourAhead() {
        var network = SimulatedNetwork(seed: 4)
        network.skews[gateway(1)] = 3_600
        for index in 0..<2 { network.add(gateway(index), services: [service("s/p"): 1]) }
        network.connect(gateway(0), gateway(1), link("l"), cost: 1)
        network.run(milliseconds: 5_000)
        #expect(network.instances[gateway(0)]?.table.gateways.isEmpty == true)
        #expect(network.instances[gateway(0)]?.refusals ?? 0 > 0)
        network.skews[gateway(1)] = 0
        network.run(milliseconds: 130_000)
        #expect(network.complaints() == [])
    }

    @Test(
        "D2: after loss, restarts and replays of all that was said, databases and costs are equal",
        arguments: 1...8
    )
    func randomReplays(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var network = SimulatedNetwork(seed: seed)
        let count = Int.random(in: 4...7, using: &random)
        var lives = [UInt64](repeating: 1, count: count)
        for index in 0..<count { network.add(gateway(index), services: [service("s/p"): 1]) }
        func connect(_ network: inout SimulatedNetwork, _ index: Int) {
            for step in [1, 2] {
                let other = (index + step) % count
                network.connect(
                    gateway(index, lives[index]),
                    gateway(other, lives[other]),
                    link("l\(step)"),
                    cost: index + step
                )
            }
        }
        for index in 0..<count { connect(&network, index) }
        network.weather = .init(loss: 0.2, duplication: 0.1, delay: 1...50)
        for _ in 0..<6 {
            network.run(milliseconds: .random(in: 500...70_000, using: &random))
            let index = Int.random(in: 0..<count, using: &random)
            network.remove(gateway(index, lives[index]))
            lives[index] += 1
            network.add(gateway(index, lives[index]), services: [service("s/p"): 2])
            for other in 0..<count { connect(&network, other) }
            // A neighbor says again whatever it has ever heard.
            network.run(milliseconds: .random(in: 500...5_000, using: &random))
            let victim = gateway(0, lives[0])
            let neighbor = gateway(1, lives[1])
            for signed in network.recorded where signed.lsa.origin != victim {
                network.feed(.received(signed, from: neighbor), to: victim)
            }
        }
        network.weather.loss = 0
        network.run(milliseconds: 200_000)
        #expect(network.complaints() == [], "seed \(seed)")
        let headers = network.instances.mapValues { Set($0.headers) }
        #expect(Set(headers.values).count == 1, "seed \(seed): the databases differ")
    }
}
