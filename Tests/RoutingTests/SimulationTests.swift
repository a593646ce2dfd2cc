import NetworkModel
import Routing
import TestSupport
import Testing

@Suite("Simulation")
struct SimulationTests {
    @Test(
        "whatever the network does, everyone ends with the oracle's costs, routes that exist and equal databases",
        arguments: Seeds.some(networkCount(1_000))
    )
    func randomNetworks(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var network = SimulatedNetwork(seed: seed)
        let sites = Self.sites(&random)
        for index in 0..<sites { network.add(gateway(index)) }
        // One site has a second gateway.
        network.add(gateway(0, 2))
        network.mesh(gateway(0), gateway(0, 2))
        for number in 0..<2 * sites {
            let from = Int.random(in: 0..<sites, using: &random)
            let to = Int.random(in: 0..<sites, using: &random)
            guard from != to else { continue }
            let dialer = from == 0 ? gateway(0, .random(in: 1...2, using: &random)) : gateway(from)
            network.connect(
                dialer,
                gateway(to),
                link("l\(number)"),
                cost: .random(in: 1...20, using: &random)
            )
        }
        network.weather = .init(loss: 0.2, duplication: 0.1, delay: 1...50)
        for _ in 0..<12 {
            disturb(&network, &random)
            network.run(milliseconds: .random(in: 1...2_000, using: &random))
        }
        network.weather.loss = 0
        network.run(milliseconds: 20_000)
        #expect(network.complaints() == [], "seed \(seed)")
        #expect(network.differences() == [], "seed \(seed)")
    }

    /// Most are small, where more happens in the same time; one of 32 has fifty gateways.
    private static func sites(_ random: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<32, using: &random) {
        case 0: 49
        case 1: .random(in: 10...48, using: &random)
        default: .random(in: 3...9, using: &random)
        }
    }

    private func disturb(_ network: inout SimulatedNetwork, _ random: inout SeededGenerator) {
        let ids = network.gateways
        let links = network.sorted(network.links.keys.filter { $0.name != .mesh })
        guard let id = ids.randomElement(using: &random),
            let link = links.randomElement(using: &random)
        else { return }
        switch Int.random(in: 0..<20, using: &random) {
        case 0...3: network.cut(link)
        case 4...7:
            // A flap: cut and up again before anyone can have settled.
            interrupt([link], of: &network, .random(in: 0...30, using: &random))
        case 8...9: restart(id, of: &network, &random)
        case 10: network.remove(link.to)
        case 11...14: network.changeCost(link, to: .random(in: 1...20, using: &random))
        case 15...16:
            let side = Set(ids.filter { _ in Bool.random(using: &random) })
            let between = network.links.keys.filter {
                side.contains($0.from) != side.contains($0.to)
            }
            // Sometimes until both have forgotten each other.
            let isLong = Int.random(in: 0..<8, using: &random) == 0
            let pause = Int.random(in: 1...3_000, using: &random) + (isLong ? 70_000 : 0)
            interrupt(network.sorted(between), of: &network, pause)
        default:
            network.feed(
                .services([service("s/p"): .random(in: 0...9, using: &random)]),
                to: id
            )
        }
    }

    private func interrupt(
        _ links: [SimulatedNetwork.Link],
        of network: inout SimulatedNetwork,
        _ milliseconds: Int
    ) {
        let costs = links.map { network.links[$0] ?? 1 }
        for link in links { network.cut(link) }
        network.run(milliseconds: milliseconds)
        for (link, cost) in zip(links, costs) { network.join(link, cost: cost) }
    }

    /// A crash; what comes back is another process, which need not know what it was before.
    private func restart(
        _ id: ProxyID,
        of network: inout SimulatedNetwork,
        _ random: inout SeededGenerator
    ) {
        let links = network.links(of: id)
        let costs = links.map { network.links[$0] ?? 1 }
        network.remove(id)
        network.run(milliseconds: .random(in: 0...3_000, using: &random))
        let new = ProxyID(site: id.site, instance: id.instance + 2)
        network.add(new, after: Bool.random(using: &random) ? id : nil)
        for (link, cost) in zip(links, costs) {
            let again = SimulatedNetwork.Link(
                from: link.from == id ? new : link.from,
                to: link.to == id ? new : link.to,
                name: link.name
            )
            network.join(again, cost: cost)
        }
    }

    @Test("two partitions that are joined again know each other, also after both forgot")
    func partition() {
        var network = SimulatedNetwork(seed: 3)
        for index in 0..<6 { network.add(gateway(index), services: [service("s/p"): 1]) }
        for index in 0..<5 {
            network.connect(gateway(index), gateway(index + 1), link("l\(index)"), cost: index + 1)
        }
        network.run(milliseconds: 2_000)
        #expect(network.complaints() == [])
        let middle = SimulatedNetwork.Link(
            from: gateway(2),
            to: gateway(3),
            name: .link(dialer: site(2), name: link("l2"))
        )
        for pause in [500, 59_990, 70_000] {
            network.cut(middle)
            network.run(milliseconds: pause)
            #expect(network.instances[gateway(0)]?.table.gateways.count == 2)
            network.connect(gateway(2), gateway(3), link("l2"), cost: 3)
            // Twice the interval of comparison heals whatever was forgotten at different times.
            network.run(milliseconds: 3_000)
            #expect(network.complaints() == [], "after \(pause) ms")
        }
    }

    @Test("a neighbor that comes while others are out of reach hears of them once they are back")
    func neighborOfThePartition() {
        var network = SimulatedNetwork(seed: 4)
        for index in 0..<5 { network.add(gateway(index)) }
        // What 4 says stays as it is.
        network.connect(gateway(4), gateway(0), link("l4"), cost: 1)
        for index in 0..<2 {
            network.connect(gateway(index), gateway(index + 1), link("l\(index)"), cost: 1)
        }
        network.run(milliseconds: 2_000)
        let far = SimulatedNetwork.Link(
            from: gateway(0),
            to: gateway(1),
            name: .link(dialer: site(0), name: link("l0"))
        )
        network.cut(far)
        network.run(milliseconds: 1_000)
        // 3 hears from 1 of those that are in reach.
        network.connect(gateway(3), gateway(1), link("late"), cost: 1)
        network.run(milliseconds: 1_000)
        network.connect(gateway(0), gateway(1), link("l0"), cost: 1)
        network.run(milliseconds: 3_000)
        #expect(network.complaints() == [])
        #expect(network.differences() == [])
    }

    @Test("a gateway that is gone is forgotten everywhere after a minute, and nothing revives it")
    func aging() {
        var network = SimulatedNetwork(seed: 5)
        for index in 0..<4 { network.add(gateway(index)) }
        for index in 0..<3 {
            network.connect(gateway(index), gateway(index + 1), link("l\(index)"), cost: 1)
        }
        network.run(milliseconds: 1_000)
        network.remove(gateway(3))
        network.run(milliseconds: 30_000)
        for index in 0..<3 {
            let headers = network.instances[gateway(index)]?.headers ?? []
            #expect(headers.contains { $0.key.origin == gateway(3) })
        }
        network.run(milliseconds: 100_000)
        for index in 0..<3 {
            let headers = network.instances[gateway(index)]?.headers ?? []
            #expect(!headers.contains { $0.key.origin == gateway(3) })
        }
    }

    @Test("a changed cost is one advertisement per gateway and reaches a chain of ten in its delay")
    func costTravels() {
        var network = SimulatedNetwork(seed: 9)
        for index in 0..<10 { network.add(gateway(index)) }
        for index in 0..<9 {
            network.connect(gateway(index), gateway(index + 1), link("l\(index)"), cost: 1)
        }
        network.run(milliseconds: 5_000)
        let before = network.messageCount
        let last = SimulatedNetwork.Link(
            from: gateway(0),
            to: gateway(1),
            name: .link(dialer: site(0), name: link("l0"))
        )
        network.changeCost(last, to: 77)
        network.run(milliseconds: 200)
        #expect(network.complaints() == [])
        #expect(network.instances[gateway(9)]?.table.gateways[gateway(0)]?.cost == PathCost(85))
        // An LSA and its acknowledgment per adjacency.
        #expect(network.messageCount - before == 18)
    }

    @Test("a quiet network stays quiet: no route changes, a comparison a minute, a renewal in ten")
    func quiet() {
        var network = SimulatedNetwork(seed: 11)
        for index in 0..<3 { network.add(gateway(index)) }
        network.connect(gateway(0), gateway(1), link("a"), cost: 1)
        network.connect(gateway(1), gateway(2), link("b"), cost: 1)
        network.run(milliseconds: 5_000)
        let (messages, changes) = (network.messageCount, network.changes)
        network.run(milliseconds: 50_000)
        #expect(network.messageCount == messages)
        network.run(milliseconds: 600_000)
        #expect(network.changes == changes)
        // And every advertisement once more: an LSA and its acknowledgment per adjacency.
        #expect(network.messageCount - messages <= 4 * 2 * 11 + 3 * 2 * 2)
    }

    @Test(
        "24 sites in a ring with chords settle within seconds of virtual time",
        .timeLimit(.minutes(1))
    )
    func large() {
        var network = SimulatedNetwork(seed: 13)
        let count = 24
        for index in 0..<count { network.add(gateway(index)) }
        for index in 0..<count {
            network.connect(gateway(index), gateway((index + 1) % count), link("r"), cost: 2)
            if index % 5 == 0 {
                network.connect(gateway(index), gateway((index + 17) % count), link("c"), cost: 7)
            }
        }
        network.run(milliseconds: 10_000)
        #expect(network.complaints() == [])
    }
}
