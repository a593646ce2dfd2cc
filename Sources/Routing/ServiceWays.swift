import NetworkModel

/// Whose word the cost of an edge is.
struct CostOwner: Hashable {
    let gateway: ProxyID
    let link: LinkName
}

/// What Links cost for one service where that is not what they cost for others.
typealias CostProfile = [CostOwner: LinkCost]

/// The ways of services: those by what Links cost for everybody, and one more set of ways for each different set of service costs.
///
/// A set is worked out when the first service that goes by it is looked at, kept up to date while it stays the same, and
/// forgotten when any service has other costs of its own.
struct ServiceWays: Sendable {
    /// What changed with an update.
    struct Changes {
        /// Those to which the way at any costs, or what it is good for, is another one than before.
        var gateways: Set<ProxyID> = []
        var sites: Set<SiteID> = []
        /// Services that go by another set of ways.
        var services: Set<ServiceAddress> = []
    }

    private struct Special {
        var graph: Graph
        var paths: Paths
    }

    private let origin: ProxyID
    /// Those of every service that no Link has a cost of its own for.
    private(set) var common = Paths()
    private(set) var standing = Standing()
    /// Known gateways that no edge joins to this one, directly or by others, as of the last update.
    private(set) var isolated: Set<ProxyID> = []
    /// Known gateways without a way.
    private var unreached: Set<ProxyID> = []
    private var graph: Graph
    /// By gateway, of those that have any.
    private var costs: [ProxyID: [LSAServiceCost]] = [:]
    private var profiles: [ServiceAddress: CostProfile] = [:]
    private var special: [CostProfile: Special] = [:]
    /// Services that go the common ways though they have costs of their own.
    private var leftOut: Set<ServiceAddress> = []
    private var newlyLeftOut: Set<ServiceAddress> = []

    init(origin: ProxyID) {
        self.origin = origin
        graph = Graph(root: origin)
    }

    /// The ways of one service.
    ///
    /// With more different sets than `RoutingLimits.costProfiles` in use the last ones go the common ways.
    mutating func paths(of service: ServiceAddress) -> Paths {
        guard let profile = profiles[service] else { return common }
        if let known = special[profile] { return known.paths }
        guard special.count < RoutingLimits.costProfiles else {
            if leftOut.insert(service).inserted { newlyLeftOut.insert(service) }
            return common
        }
        leftOut.remove(service)
        var new = Special(graph: graph.applying(profile), paths: Paths())
        _ = new.paths.update(new.graph, Set(graph.numbers.values))
        special[profile] = new
        return new.paths
    }

    /// The services of which it turned out since the last call that the bound leaves them out.
    mutating func takeLeftOut() -> Set<ServiceAddress> {
        defer { newlyLeftOut = [] }
        return newlyLeftOut
    }

    // MARK: Changes

    /// Takes what some gateways say now; of this one, what it does.
    mutating func update(
        _ stale: Set<ProxyID>,
        ownEdges: [LSAEdge],
        ownCosts: [LSAServiceCost],
        database: LSDB
    ) -> Changes {
        let ends = graph.update(stale, rootEdges: ownEdges, database: database)
        var changes = Changes(gateways: common.update(graph, ends))
        note(stale.union(changes.gateways), database, &changes)
        takeCosts(stale, ownCosts, database, &changes)
        for profile in Array(special.keys) {
            // In its place: a copy would be one of all its ways.
            special[profile]?.graph.update(graph, ends, profile)
            guard let graph = special[profile]?.graph else { continue }
            changes.gateways.formUnion(special[profile]?.paths.update(graph, ends) ?? [])
        }
        return changes
    }

    /// Notes who drains, who is out of reach, and which sites are lost.
    private mutating func note(
        _ gateways: Set<ProxyID>,
        _ database: LSDB,
        _ changes: inout Changes
    ) {
        for gateway in gateways where gateway != origin {
            let isDraining = database.first(of: gateway)?.overload == true
            if isDraining != standing.draining.contains(gateway) {
                changes.gateways.insert(gateway)
                standing.draining.formSymmetricDifference([gateway])
            }
            if database.holds(gateway), common.equal(to: gateway) == nil {
                unreached.insert(gateway)
            } else {
                unreached.remove(gateway)
            }
        }
        let lost = Set(unreached.filter { isLost($0, database) }.map(\.site))
        changes.sites = lost.symmetricDifference(standing.lost)
        standing.lost = lost
        isolated = graph.isolated(of: unreached)
    }

    private func isLost(_ gateway: ProxyID, _ database: LSDB) -> Bool {
        let neighbors = database.edges(of: gateway).map(\.neighbor)
        // It said that it ends.
        if neighbors.isEmpty, standing.draining.contains(gateway) { return true }
        return neighbors.contains { neighbor in
            neighbor.site != origin.site && neighbor.site != gateway.site
                && common.equal(to: neighbor) != nil
        }
    }

    /// Takes what Links cost for single services: by what the gateways advertise, and for this one by what is configured.
    private mutating func takeCosts(
        _ stale: Set<ProxyID>,
        _ own: [LSAServiceCost],
        _ database: LSDB,
        _ changes: inout Changes
    ) {
        var isChanged = !leftOut.isEmpty
        for gateway in stale {
            let new =
                gateway == origin
                ? own.sorted() : database.advertisements(of: gateway).flatMap(\.serviceCosts)
            guard new != costs[gateway] ?? [] else { continue }
            costs[gateway] = new.isEmpty ? nil : new
            isChanged = true
        }
        guard isChanged else { return }
        changes.services = Set(profiles.keys)
        profiles = [:]
        for (gateway, entries) in costs {
            for entry in entries {
                let owner = CostOwner(gateway: gateway, link: entry.link)
                profiles[entry.service, default: [:]][owner] = entry.cost
            }
        }
        changes.services.formUnion(profiles.keys)
        special = [:]
        leftOut.formIntersection(profiles.keys)
    }
}
