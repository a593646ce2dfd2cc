import Balancing
import NetworkModel
import SiteConfiguration
import Testing
import Wire

@testable import Proxy

@Suite("An edge's routes")
struct EdgeRoutesTests {
    private let own = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
    private let far = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))
    private var egress: ProxyID { ProxyID(site: far, instance: 7) }

    private func gateway(_ instance: UInt64) -> ProxyID { ProxyID(site: own, instance: instance) }

    private func table(
        _ generation: UInt64,
        _ targets: [EdgeTarget],
        isLast: Bool = true,
        replacesAll: Bool = true
    ) throws -> EdgeTable {
        EdgeTable(
            generation: generation,
            replacesAll: replacesAll,
            isLast: isLast,
            services: [
                EdgeService(
                    service: try web,
                    connect: .seconds(3),
                    idle: .seconds(60),
                    halfClosed: .seconds(5),
                    targets: targets
                )
            ]
        )
    }

    private var web: ServicePort { get throws { try #require(ServicePort("web/http")) } }

    private func target(_ cost: UInt32, weight: UInt32 = 1) -> EdgeTarget {
        EdgeTarget(site: far, cost: PathCost(cost), weight: weight, routes: [[egress]])
    }

    @Test("the gateway comes first in the route; its own servers are one hop")
    func routes() throws {
        var routes = EdgeRoutes()
        let local = EdgeTarget(site: own, cost: .zero, weight: 2, routes: [[]])
        #expect(routes.apply(try table(1, [local, target(4)]), from: gateway(1)) == 1)
        let targets = routes.targets(try web).sorted { $0.target.cost < $1.target.cost }
        #expect(targets.map(\.routes) == [[[gateway(1)]], [[gateway(1), egress]]])
        #expect(routes.timeouts(try web).connect == .seconds(3))
    }

    @Test("of two gateways the cheaper one is used, equal ones both")
    func twoGateways() throws {
        var routes = EdgeRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        _ = routes.apply(try table(1, [target(9, weight: 3)]), from: gateway(2))
        #expect(routes.targets(try web).first?.target.cost == PathCost(4))
        #expect(routes.targets(try web).first?.target.weight == 3)
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
        _ = routes.apply(try table(2, [target(4)]), from: gateway(2))
        #expect(
            routes.targets(try web).first?.routes == [[gateway(1), egress], [gateway(2), egress]]
        )
        // One gateway has lost the way: the other's is used, whatever it costs.
        let lost = EdgeTarget(
            site: far,
            cost: .unreachable,
            weight: 0,
            absence: .linkLost,
            routes: []
        )
        _ = routes.apply(try table(3, [lost]), from: gateway(1))
        #expect(routes.targets(try web).first?.routes == [[gateway(2), egress]])
        routes.drop(gateway(2))
        #expect(routes.targets(try web).first?.target.absence == .linkLost)
    }

    @Test("a gateway that drains is used only while there is no other")
    func draining() throws {
        var routes = EdgeRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        routes.setDraining(gateway(1))
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
        _ = routes.apply(try table(1, [target(9)]), from: gateway(2))
        #expect(routes.targets(try web).first?.routes == [[gateway(2), egress]])
        routes.drop(gateway(2))
        #expect(routes.targets(try web).first?.routes == [[gateway(1), egress]])
    }

    @Test("a table in several frames is in force with the last one, and not before")
    func fragments() throws {
        var routes = EdgeRoutes()
        _ = routes.apply(try table(1, [target(4)]), from: gateway(1))
        #expect(
            routes.apply(try table(2, [target(8)], isLast: false), from: gateway(1)) == nil
        )
        #expect(routes.targets(try web).first?.target.cost == PathCost(4))
        let rest = EdgeTable(generation: 2, replacesAll: false)
        #expect(routes.apply(rest, from: gateway(1)) == 2)
        #expect(routes.targets(try web).first?.target.cost == PathCost(8))
        let removal = EdgeTable(generation: 3, replacesAll: false, removed: [try web])
        #expect(routes.apply(removal, from: gateway(1)) == 3)
        #expect(routes.services.isEmpty)
    }
}
