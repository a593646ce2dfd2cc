import NetworkModel

/// The ways to all gateways at one set of costs.
struct Paths: Sendable {
    private var cheapest = SPF()
    private var around = Detours()

    /// Those of the least cost to a gateway, never an empty list; nil: it is not reached.
    func equal(to gateway: ProxyID) -> [SPF.Path]? { cheapest.paths[gateway] }

    /// A way around all transit proxies of these, where there is one.
    func detour(to gateway: ProxyID) -> SPF.Path? { around.ways[gateway] }

    /// Takes what changed around `ends`; gives the gateways that have other ways than before.
    mutating func update(_ graph: Graph, _ ends: Set<Int>) -> Set<ProxyID> {
        let changed = cheapest.update(graph, ends)
        let others = around.update(graph, ends, cheapest.paths, changed: changed)
        return Set(changed.union(others).map { graph.nodes[$0] })
    }

    /// One site as a target, from what its gateways offer; nil when they offer nothing.
    func target(
        _ site: SiteID,
        _ offers: [(gateway: ProxyID, endpoints: UInt32)],
        _ standing: Standing
    ) -> RouteTarget? {
        guard !offers.isEmpty else { return nil }
        var offer = Offer()
        for (gateway, endpoints) in offers {
            guard let equal = equal(to: gateway) else { continue }
            offer.add(
                equal,
                detour: detour(to: gateway),
                endpoints,
                isDraining: standing.draining.contains(gateway)
            )
        }
        return offer.target(site, loss: standing.lost.contains(site) ? .siteLost : .linkLost)
    }
}

/// What is the same whatever Links cost.
struct Standing: Sendable {
    /// Gateways that drain.
    var draining: Set<ProxyID> = []
    /// Sites whose gateways are gone though a neighbor of theirs, in a third site, is there.
    var lost: Set<SiteID> = []
}

/// What the gateways of one site say about one service port.
private struct Offer {
    private var serving = Choice()
    /// Gateways that drain still take connections until their listeners close.
    private var draining = Choice()
    private var isReached = false
    private var isServing = false

    /// Gateways come in order, which makes the routes' order the gateways'.
    mutating func add(
        _ equal: [SPF.Path],
        detour: SPF.Path?,
        _ endpoints: UInt32,
        isDraining: Bool
    ) {
        isReached = true
        if isDraining {
            draining.add(equal, detour, endpoints)
        } else {
            isServing = true
            serving.add(equal, detour, endpoints)
        }
    }

    func target(_ site: SiteID, loss: FailoverReason) -> RouteTarget {
        if let best = serving.best {
            return serving.target(site, .usable(cost: best.cost, endpoints: best.endpoints))
        }
        if let best = draining.best {
            return draining.target(site, .lastResort(cost: best.cost, endpoints: best.endpoints))
        }
        if isServing { return serving.target(site, .absent(.noEndpoints)) }
        if isReached { return serving.target(site, .absent(.draining)) }
        return serving.target(site, .absent(loss))
    }
}

/// The ways to those gateways of a site that could serve.
private struct Choice {
    private var endpoints: UInt32 = 0
    /// By gateway: paths of equal cost.
    private var ways: [[SPF.Path]] = []
    private var detours: [SPF.Path] = []

    mutating func add(_ equal: [SPF.Path], _ detour: SPF.Path?, _ endpoints: UInt32) {
        guard endpoints > 0 else { return }
        self.endpoints = max(self.endpoints, endpoints)
        ways.append(equal)
        if let detour { detours.append(detour) }
    }

    /// Nil when there is none.
    var best: (cost: PathCost, endpoints: UInt32)? {
        ways.map { $0[0].cost }.min().map { ($0, endpoints) }
    }

    func target(_ site: SiteID, _ reach: Reach) -> RouteTarget {
        let cost = reach.cost
        let cheapest = ways.filter { $0[0].cost == cost }
        let routes = cheapest.inTurns(atMost: max(RoutingLimits.equalPaths, cheapest.count))
        let dearer = (ways.map { $0[0] }.filter { $0.cost != cost } + detours)
            .sorted { $0.precedes($1) }
            .map(\.hops)
        let hops = routes.map(\.hops)
        return RouteTarget(
            target: Target(site: site, reach: reach),
            routes: hops,
            detours: Array(
                dearer.filter { !hops.contains($0) }.prefix(RoutingLimits.detoursPerTarget)
            ),
            via: routes.first?.via
        )
    }
}

extension SPF.Path {
    /// Cheaper ones come first; equal ones in an order that is the same everywhere.
    fileprivate func precedes(_ other: Self) -> Bool {
        cost == other.cost ? hops.lexicographicallyPrecedes(other.hops) : cost < other.cost
    }
}
