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
/// A set is worked out when the first service that goes by it is looked at, and forgotten with the next run that changes it.
struct ServiceWays: Sendable {
    /// Those of every service that no Link has a cost of its own for.
    private(set) var common = Paths()
    private var graph = Graph()
    private var profiles: [ServiceAddress: CostProfile] = [:]
    private var special: [CostProfile: Paths] = [:]
    /// Services that go the common ways though they have costs of their own.
    private var leftOut: Set<ServiceAddress> = []
    private var newlyLeftOut: Set<ServiceAddress> = []

    /// The ways of one service.
    ///
    /// With more different sets than `RoutingLimits.costProfiles` in use the last ones go the common ways.
    mutating func paths(of service: ServiceAddress) -> Paths {
        guard let profile = profiles[service] else { return common }
        if let known = special[profile] { return known }
        guard special.count < RoutingLimits.costProfiles else {
            if leftOut.insert(service).inserted { newlyLeftOut.insert(service) }
            return common
        }
        leftOut.remove(service)
        let paths = Paths(graph.applying(profile), like: common)
        special[profile] = paths
        return paths
    }

    /// Takes another network; gives the services that have costs of their own now, or had.
    mutating func set(
        _ graph: Graph,
        _ common: Paths,
        _ profiles: [ServiceAddress: CostProfile]
    ) -> Set<ServiceAddress> {
        let concerned = Set(self.profiles.keys).union(profiles.keys)
        (self.graph, self.common, self.profiles) = (graph, common, profiles)
        special = [:]
        leftOut.formIntersection(profiles.keys)
        return concerned
    }

    /// The services of which it turned out since the last call that the bound leaves them out.
    mutating func takeLeftOut() -> Set<ServiceAddress> {
        defer { newlyLeftOut = [] }
        return newlyLeftOut
    }
}

extension ServiceWays {
    /// What each service has that any Link has a cost of its own for: by what the gateways advertise, and for `origin` by
    /// what is configured.
    static func profiles(
        _ origin: ProxyID,
        _ own: [LSAServiceCost],
        _ database: LSDB
    ) -> [ServiceAddress: CostProfile] {
        var profiles: [ServiceAddress: CostProfile] = [:]
        let add = { (costs: [LSAServiceCost], gateway: ProxyID) in
            for entry in costs {
                let owner = CostOwner(gateway: gateway, link: entry.link)
                profiles[entry.service, default: [:]][owner] = entry.cost
            }
        }
        add(own, origin)
        for gateway in database.origins where gateway != origin {
            for lsa in database.advertisements(of: gateway) { add(lsa.serviceCosts, gateway) }
        }
        return profiles
    }
}
