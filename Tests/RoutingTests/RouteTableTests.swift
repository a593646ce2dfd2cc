import NetworkModel
import Routing
import TestSupport
import Testing

@Suite("Route table")
struct RouteTableTests {
    @Test("where the cheapest path has too many hops, a dearer one that is short enough is taken")
    func tooManyHops() {
        // A chain of cost 1 each from gateway 0 to gateway 18, and a Link of cost 500 to the last one.
        var bench = Bench()
        bench.dial(1, cost: 1)
        bench.dial(18, cost: 500)
        for index in 1...17 {
            bench.learn(
                lsa(
                    index,
                    edges: [
                        accepted(gateway(index - 1), index - 1, "to\(index)"),
                        dialed(gateway(index + 1), index, "to\(index + 1)", 1),
                    ],
                    endpoints: 1
                )
            )
        }
        bench.learn(
            lsa(
                18,
                edges: [
                    accepted(gateway(17), 17, "to18"), accepted(gateway(0), 0, "to18"),
                ]
            )
        )
        bench.feed(.deadline, after: 1_000)
        #expect(bench.target(16)?.target.reach.cost == PathCost(16))
        #expect(bench.target(16)?.routes.first?.count == 16)
        // 17 hops along the chain: over 18 and back it is 501.
        #expect(bench.target(17)?.target.reach.cost == PathCost(501))
        #expect(bench.target(17)?.routes == [[gateway(18), gateway(17)]])
        #expect(bench.target(18)?.target.reach.cost == PathCost(500))
        #expect(bench.target(18)?.routes == [[gateway(18)]])
    }

    @Test("a cheaper path over two hops beats an expensive direct link, with its explicit route")
    func multiHop() {
        var bench = Bench()
        bench.dial(1, cost: 3)
        bench.dial(2, cost: 100)
        bench.learn(
            lsa(1, edges: [accepted(gateway(0), 0, "to1"), dialed(gateway(2), 1, "x", 4)])
        )
        bench.learn(
            lsa(2, edges: [accepted(gateway(0), 0, "to2"), accepted(gateway(1), 1, "x")])
        )
        #expect(bench.target(2)?.target.reach.cost == PathCost(7))
        #expect(bench.target(2)?.routes == [[gateway(1), gateway(2)]])
        #expect(bench.target(2)?.via == .link(dialer: site(0), name: link("to1")))
        #expect(bench.target(1)?.routes == [[gateway(1)]])
        #expect(bench.instance.table.siteNames == [site(1): "site-1", site(2): "site-2"])
    }

    @Test("an edge that the neighbor does not name is not used")
    func twoWay() {
        var bench = Bench()
        bench.dial(1, cost: 3)
        bench.learn(lsa(1, edges: [dialed(gateway(2), 1, "x", 4)]))
        #expect(bench.target(1)?.target.reach == .absent(.linkLost))
        bench.learn(lsa(1, sequence: 2, edges: [accepted(gateway(0), 0, "to1")]))
        #expect(bench.target(1)?.target.reach.cost == PathCost(3))
    }

    @Test("only the dialing site's cost counts, also against an acceptor that names one")
    func declaredCost() {
        var bench = Bench()
        bench.dial(1, cost: 30)
        bench.learn(lsa(1, edges: [dialed(gateway(0), 0, "to1", 1)]))
        #expect(bench.target(1)?.target.reach.cost == PathCost(30))
    }

    @Test("parallel links are edges of their own; the cheapest is used")
    func parallelLinks() {
        var bench = Bench()
        bench.costs[link("second")] = cost(2)
        bench.dial(1, cost: 9)
        let both: [EdgeName] = [
            .link(dialer: site(0), name: link("to1")),
            .link(dialer: site(0), name: link("second")),
        ]
        bench.feed(.adjacency(neighbor: gateway(1), edges: both))
        bench.learn(
            lsa(1, edges: [accepted(gateway(0), 0, "to1"), accepted(gateway(0), 0, "second")])
        )
        #expect(bench.target(1)?.target.reach.cost == PathCost(2))
        #expect(bench.target(1)?.via == both[1])
        bench.feed(.adjacency(neighbor: gateway(1), edges: [both[0]]))
        #expect(bench.target(1)?.target.reach.cost == PathCost(9))
    }

    @Test("several gateways of a site: the least cost, all routes of it, the largest weight")
    func severalGateways() {
        var bench = Bench()
        bench.dial(1, cost: 5)
        let other = gateway(1, 2)
        let name = EdgeName.link(dialer: site(0), name: link("to1"))
        bench.feed(.adjacency(neighbor: other, edges: [name]))
        let mesh = { LSAEdge(neighbor: $0, name: .mesh, cost: nil) }
        bench.learn(
            lsa(1, edges: [accepted(gateway(0), 0, "to1"), mesh(other)], endpoints: 2)
        )
        bench.learn(
            lsa(
                1,
                instance: 2,
                edges: [accepted(gateway(0), 0, "to1"), mesh(gateway(1))],
                endpoints: 3
            )
        )
        #expect(bench.target(1)?.routes == [[gateway(1)], [other]])
        #expect(bench.target(1)?.target.reach.endpoints == 3)
        #expect(bench.target(1)?.target.reach.cost == PathCost(5))
    }

    @Test("a draining gateway is the last resort as a target, and not passed through")
    func overload() {
        var bench = Bench()
        bench.dial(1, cost: 1)
        let far = lsa(2, edges: [accepted(gateway(1), 1, "x")])
        let near = [accepted(gateway(0), 0, "to1"), dialed(gateway(2), 1, "x", 1)]
        bench.learn(lsa(1, edges: near))
        bench.learn(far)
        #expect(bench.target(2)?.target.reach.cost == PathCost(2))
        bench.learn(lsa(1, sequence: 2, overload: true, edges: near))
        #expect(bench.target(1)?.target.reach.isLastResort == true)
        #expect(bench.target(1)?.target.reach.offer != nil)
        #expect(bench.target(2)?.target.reach.offer == nil)
        bench.learn(lsa(1, sequence: 3, edges: near))
        #expect(bench.target(1)?.target.reach.isLastResort == false)
        #expect(bench.target(2)?.target.reach.offer != nil)
    }

    @Test("no endpoints, a lost site and a lost link are told apart")
    func absences() {
        var bench = Bench()
        bench.dial(1, cost: 1)
        let edges = [accepted(gateway(0), 0, "to1"), dialed(gateway(2), 1, "x", 1)]
        bench.learn(lsa(1, edges: edges, endpoints: nil))
        bench.learn(lsa(2, edges: [accepted(gateway(1), 1, "x")]))
        bench.learn(lsa(2, sequence: 2, edges: [accepted(gateway(1), 1, "x")], endpoints: 0))
        #expect(bench.target(2)?.target.reach == .absent(.noEndpoints))
        // Its neighbor is there, and names it no longer.
        bench.learn(lsa(1, sequence: 2, edges: [edges[0]], endpoints: nil))
        #expect(bench.target(2)?.target.reach == .absent(.siteLost))
        // The only way to it was ours.
        bench.feed(.adjacency(neighbor: gateway(1), edges: []))
        #expect(bench.target(2)?.target.reach == .absent(.linkLost))
    }

    @Test("a path of more than sixteen hops is no path")
    func hopLimit() {
        var network = SimulatedNetwork(seed: 1)
        for index in 0..<20 { network.add(gateway(index)) }
        for index in 0..<19 {
            network.connect(gateway(index), gateway(index + 1), link("l"), cost: 1)
        }
        network.run(milliseconds: 10_000)
        #expect(network.instances[gateway(0)]?.table.gateways.count == RoutingLimits.hops)
    }

    @Test("a configuration that changes only a cost gives a new table and one LSA, nothing else")
    func costOnly() {
        var bench = Bench()
        bench.dial(1, cost: 3)
        bench.learn(lsa(1, edges: [accepted(gateway(0), 0, "to1")]))
        #expect(bench.changes.map(\.keys) == [[gateway(1)]])
        bench.costs[link("to1")] = cost(8)
        bench.feed(.configure(RoutingConfiguration(linkCosts: bench.costs)))
        #expect(bench.outputs.count == 2)
        guard case .sign(let lsa)? = bench.outputs.first,
            case .routesChanged(let table, let changes)? = bench.outputs.last
        else {
            Issue.record("\(bench.outputs)")
            return
        }
        #expect(lsa.edges.map(\.cost) == [cost(8)])
        #expect(changes == RouteChanges(services: [service("web/http")], gateways: true))
        #expect(table.services[service("web/http")]?.map(\.target.reach.cost) == [PathCost(8)])
        bench.feed(.configure(RoutingConfiguration(linkCosts: bench.costs)))
        #expect(bench.outputs.isEmpty)
    }
}
