import NetworkModel
import TestSupport
import Testing

@testable import Routing

@Suite("Costs of single services")
struct ServiceCostTests {
    private func address(_ text: String) -> ServiceAddress { service("\(text)/p").address }

    /// 0 and 2 are joined directly, and through 1.
    private func triangle() -> SimulatedNetwork {
        var network = SimulatedNetwork(seed: 1)
        for index in 0..<3 {
            network.add(gateway(index), services: [service("a/p"): 1, service("b/p"): 1])
        }
        network.connect(gateway(0), gateway(2), link("direct"), cost: 10)
        network.connect(gateway(0), gateway(1), link("first"), cost: 1)
        network.connect(gateway(1), gateway(2), link("second"), cost: 2)
        network.run(milliseconds: 2_000)
        return network
    }

    private func ways(_ network: SimulatedNetwork, _ from: Int, _ text: String) -> [[ProxyID]] {
        let targets = network.instances[gateway(from)]?.table.services[service(text)] ?? []
        return targets.first { $0.site == site(2 - from) }?.routes ?? []
    }

    private func edge(_ from: Int, _ to: Int, _ name: String) -> SimulatedNetwork.Link {
        .init(
            from: gateway(from),
            to: gateway(to),
            name: .link(dialer: site(from), name: link(name))
        )
    }

    @Test("one service goes another way than the rest, there and back, within milliseconds")
    func anotherWay() {
        var network = triangle()
        #expect(ways(network, 0, "a/p") == [[gateway(1), gateway(2)]])
        let messages = network.messageCount
        network.setCost(edge(0, 2, "direct"), of: address("a"), 2)
        network.run(milliseconds: 200)
        for from in [0, 2] {
            #expect(ways(network, from, "a/p") == [[gateway(2 - from)]])
            #expect(ways(network, from, "b/p") == [[gateway(1), gateway(2 - from)]])
        }
        // One advertisement over three links, to whoever does not have it from elsewhere.
        #expect(network.messageCount - messages <= 10)
        #expect(network.instances[gateway(2)]?.table.gateways[gateway(0)]?.cost == PathCost(3))
        network.setCost(edge(0, 2, "direct"), of: address("a"), nil)
        network.run(milliseconds: 200)
        #expect(ways(network, 2, "a/p") == [[gateway(1), gateway(0)]])
        #expect(network.complaints() == [])
    }

    @Test(
        "services with the same costs share one set of ways, beyond the bound they go the common ones"
    )
    func bounded() {
        var ways = ServiceWays(origin: gateway(0))
        var advertisement = lsa(1, edges: [dialed(gateway(0), 1, "l", 1)])
        for number in 0..<RoutingLimits.costProfiles + 5 {
            for name in ["s", "t"] {
                let service = address("\(name)\(number)")
                let entry = LSAServiceCost(
                    link: link("l"),
                    service: service,
                    cost: cost(number + 2)
                )
                advertisement.serviceCosts.append(entry)
            }
        }
        var database = LSDB(own: gateway(0))
        let signed = SignedLSA(lsa: advertisement, bytes: [1])
        let now = Instant.milliseconds(1)
        #expect(database.insert(signed, at: now, wall: wall(now)) == .accepted)
        let edges = [accepted(gateway(1), 1, "l")]
        _ = ways.update(
            [gateway(0), gateway(1)],
            ownEdges: edges,
            ownCosts: [],
            database: database
        )
        for number in 0..<RoutingLimits.costProfiles + 5 {
            for name in ["s", "t"] {
                let paths = ways.paths(of: address("\(name)\(number)"))
                let cost = paths.equal(to: gateway(1))?.first?.cost
                #expect(
                    cost == PathCost(number < RoutingLimits.costProfiles ? UInt32(number + 2) : 1)
                )
            }
        }
        #expect(ways.takeLeftOut().count == 10)
        #expect(ways.takeLeftOut().isEmpty)
    }

    @Test("readers from before the meaning take costs of services for edges that join nothing")
    func olderReaders() {
        var bench = Bench()
        bench.dial(1, cost: 5)
        bench.learn(lsa(1, edges: [accepted(gateway(0), 0, "to1")]))
        let before = bench.instance.table
        let (head, body) = (gateway(1, 2), gateway(1, 3))
        let written = [
            LSAEdge(neighbor: head, name: .link(dialer: site(1), name: link("to1")), cost: nil),
            LSAEdge(neighbor: body, name: .link(dialer: site(1), name: link("web")), cost: cost(9)),
        ]
        bench.learn(lsa(1, sequence: 2, edges: [accepted(gateway(0), 0, "to1")] + written))
        // Also where those gateways exist.
        for gateway in [head, body] {
            let edges = written.map { LSAEdge(neighbor: $0.neighbor, name: $0.name, cost: $0.cost) }
            var other = lsa(1, edges: edges)
            other.origin = gateway
            bench.learn(other)
        }
        #expect(bench.instance.table.gateways == before.gateways)
        #expect(bench.target(1) == before.services[service("web/http")]?.first)
    }

    @Test(
        "whatever Links cost for single services, each has the oracle's costs and ways",
        arguments: 1...20
    )
    func randomNetworks(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var network = SimulatedNetwork(seed: seed)
        let count = Int.random(in: 3...9, using: &random)
        let services = (0..<4).map { service("s\($0)/p") }
        var servers: [ServicePort: Set<ProxyID>] = [:]
        for index in 0..<count {
            let served = services.filter { _ in Bool.random(using: &random) }
            for service in served { servers[service, default: []].insert(gateway(index)) }
            network.add(
                gateway(index),
                services: Dictionary(uniqueKeysWithValues: served.map { ($0, 1) })
            )
        }
        for number in 0..<2 * count {
            let from = Int.random(in: 0..<count, using: &random)
            let to = Int.random(in: 0..<count, using: &random)
            guard from != to else { continue }
            let cost = Int.random(in: 1...20, using: &random)
            network.connect(gateway(from), gateway(to), link("l\(number)"), cost: cost)
        }
        network.weather = .init(loss: 0.2, duplication: 0.1, delay: 1...50)
        for _ in 0..<20 {
            let links = network.links.keys.sorted { ($0.from, $0.name) < ($1.from, $1.name) }
            guard let link = links.randomElement(using: &random),
                let service = services.randomElement(using: &random)
            else { break }
            switch Int.random(in: 0..<6, using: &random) {
            case 0: network.cut(link)
            case 1: network.changeCost(link, to: .random(in: 1...20, using: &random))
            case 2: network.setCost(link, of: service.address, nil)
            default:
                let cost = Int.random(in: 1...20, using: &random)
                network.setCost(link, of: service.address, cost)
            }
            network.run(milliseconds: .random(in: 1...500, using: &random))
        }
        network.weather.loss = 0
        network.run(milliseconds: 20_000)
        #expect(network.complaints() == [], "seed \(seed)")
        for service in services {
            let complaints = network.complaints(of: service, servedBy: servers[service] ?? [])
            #expect(complaints == [], "seed \(seed), \(service)")
        }
    }
}
