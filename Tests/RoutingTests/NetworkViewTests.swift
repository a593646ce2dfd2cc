import NetworkModel
import TestSupport
import Testing

@testable import Routing

@Suite("Network view")
struct NetworkViewTests {
    @Test("it has every gateway with its ways, and an edge is up when both ends name it")
    func view() throws {
        var bench = Bench()
        bench.dial(1, cost: 3)
        bench.learn(
            lsa(1, edges: [accepted(gateway(0), 0, "to1"), dialed(gateway(2), 1, "x", 4)])
        )
        bench.learn(lsa(2, overload: true, edges: [accepted(gateway(1), 1, "x")]))
        bench.learn(lsa(3, edges: [dialed(gateway(2), 3, "y", 9)], endpoints: nil))
        let view = bench.instance.view
        let gateways = view.gateways
        #expect(gateways.map(\.proxy) == [0, 1, 2, 3].map { gateway($0) })
        #expect(gateways.map(\.siteName).dropFirst() == ["site-1", "site-2", "site-3"])
        #expect(gateways.map(\.isDraining) == [false, false, true, false])
        #expect(gateways.map(\.services) == [0, 1, 1, 0])
        #expect(gateways[0].routes == [.init(cost: .zero, hops: [], via: nil)])
        let via = EdgeName.link(dialer: site(0), name: link("to1"))
        #expect(
            gateways[2].routes == [
                .init(cost: PathCost(7), hops: [gateway(1), gateway(2)], via: via)
            ]
        )
        #expect(gateways[3].routes.isEmpty)
        #expect(
            view.edges == [
                .init(name: via, from: gateway(0), to: gateway(1), cost: cost(3), isUp: true),
                .init(
                    name: .link(dialer: site(1), name: link("x")),
                    from: gateway(1),
                    to: gateway(2),
                    cost: cost(4),
                    isUp: true
                ),
                .init(
                    name: .link(dialer: site(3), name: link("y")),
                    from: gateway(3),
                    to: gateway(2),
                    cost: cost(9),
                    isUp: false
                ),
            ]
        )
    }

    @Test("edges that no path could use are left out: a mesh of two sites, a Link of a third one")
    func lies() {
        var bench = Bench()
        bench.learn(
            lsa(
                1,
                edges: [
                    LSAEdge(neighbor: gateway(2), name: .mesh, cost: nil),
                    dialed(gateway(2), 5, "x", 1),
                    dialed(gateway(1, 2), 1, "self", 1),
                ]
            )
        )
        #expect(bench.instance.view.edges.isEmpty)
    }
}
