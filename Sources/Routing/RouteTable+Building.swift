import NetworkModel

/// The ways to all gateways after one run of SPF, and what else the targets of services are made from.
struct Paths: Sendable {
    /// Those of the least cost to each gateway; no list is empty.
    var paths: [ProxyID: [SPF.Path]] = [:]
    /// Ways around all transit proxies of `paths`, where there are any.
    var detours: [ProxyID: SPF.Path] = [:]
    /// Gateways that drain.
    var draining: Set<ProxyID> = []
    /// Sites whose gateways are gone though a neighbor of theirs, in a third site, is there.
    var lost: Set<SiteID> = []

    init() {}

    init(_ graph: Graph, origin: ProxyID, database: LSDB) {
        paths = SPF.paths(graph)
        detours = Self.detours(paths, graph)
        for gateway in database.origins {
            if database.first(of: gateway)?.overload == true { draining.insert(gateway) }
            guard paths[gateway] == nil else { continue }
            let neighbors = database.advertisements(of: gateway).flatMap(\.edges)
            // It said that it ends.
            let isWithdrawn = neighbors.isEmpty && draining.contains(gateway)
            let isSeenFromElsewhere = neighbors.contains { edge in
                edge.neighbor.site != origin.site && edge.neighbor.site != gateway.site
                    && paths[edge.neighbor] != nil
            }
            if isWithdrawn || isSeenFromElsewhere { lost.insert(gateway.site) }
        }
    }

    /// The ways through the same network at other costs: who drains, and who is gone, is the same.
    init(_ graph: Graph, like common: Paths) {
        paths = SPF.paths(graph)
        detours = Self.detours(paths, graph)
        draining = common.draining
        lost = common.lost
    }

    /// Looks for ways around the transit proxies of each way: for the cheapest groups of gateways behind the same ones.
    private static func detours(
        _ paths: [ProxyID: [SPF.Path]],
        _ graph: Graph
    ) -> [ProxyID: SPF.Path] {
        var groups: [[ProxyID]: (cost: PathCost, gateways: [ProxyID])] = [:]
        for (gateway, equal) in paths where equal[0].hops.count > 1 {
            let transit = Set(equal.flatMap { $0.hops.dropLast() }).sorted()
            var group = groups[transit] ?? (equal[0].cost, [])
            group.gateways.append(gateway)
            group.cost = min(group.cost, equal[0].cost)
            groups[transit] = group
        }
        let chosen = groups.sorted { left, right in
            left.value.cost == right.value.cost
                ? left.key.lexicographicallyPrecedes(right.key) : left.value.cost < right.value.cost
        }
        .prefix(RoutingLimits.detourGroups)
        var index: [ProxyID: Int] = [:]
        for (node, gateway) in graph.nodes.enumerated() { index[gateway] = node }
        var detours: [ProxyID: SPF.Path] = [:]
        for (transit, group) in chosen {
            let nodes = Set(group.gateways.compactMap { index[$0] })
            let around = SPF.firstPaths(graph.avoiding(Set(transit)), to: nodes)
            for (node, path) in around { detours[graph.nodes[node]] = path }
        }
        return detours
    }

    /// Gateways to which the way, or what it is good for, is another one than before.
    func changes(since old: Paths) -> (gateways: Set<ProxyID>, sites: Set<SiteID>) {
        var gateways = draining.symmetricDifference(old.draining)
        for gateway in Set(paths.keys).union(old.paths.keys)
        where paths[gateway] != old.paths[gateway] || detours[gateway] != old.detours[gateway] {
            gateways.insert(gateway)
        }
        return (gateways, lost.symmetricDifference(old.lost))
    }

    /// The sites that offer a service port, from what their gateways advertise.
    func targets(_ offers: [(key: LSAKey, value: UInt32)], origin: ProxyID) -> [RouteTarget] {
        var sites: [SiteID: Offer] = [:]
        for (key, endpoints) in offers where key.origin.site != origin.site {
            let gateway = key.origin
            guard let equal = paths[gateway] else {
                sites[gateway.site] = sites[gateway.site] ?? Offer()
                continue
            }
            sites[gateway.site, default: Offer()].add(
                equal,
                detour: detours[gateway],
                endpoints,
                isDraining: draining.contains(gateway)
            )
        }
        return sites.sorted { $0.key < $1.key }.map { site, offer in
            offer.target(site, loss: lost.contains(site) ? .siteLost : .linkLost)
        }
    }
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
