import NetworkModel

// Paths: what follows from the database, worked out for what has changed.

extension RoutingInstance {
    mutating func run(_ outputs: inout [RoutingOutput], at now: Instant) {
        var changes = RouteChanges()
        if arePathsStale { findPaths(&changes, at: now) }
        for service in staleServices.sorted() {
            let paths = ways.paths(of: service.address)
            let targets = paths.targets(index.offers(of: service), origin: origin)
            guard targets != table.services[service] ?? [] else { continue }
            table.services[service] = targets.isEmpty ? nil : targets
            changes.services.insert(service)
        }
        staleServices = []
        changes.leftOut = ways.takeLeftOut()
        guard !changes.isEmpty else { return }
        table.version += 1
        outputs.append(.routesChanged(table, changes))
    }

    mutating func findPaths(_ changes: inout RouteChanges, at now: Instant) {
        arePathsStale = false
        let isAging = database.nextDeadline.map { now >= $0 } ?? false
        if isAging { database.expire(at: now) }
        let graph = Graph(root: origin, rootEdges: ownEdges, database: database)
        connected = graph.connected
        database.note(reachable: connected, at: now)
        if isAging {
            database.forget(at: now)
            pace.tidy(at: now)
        }
        for origin in database.takeGone() { reindex(origin) }
        let new = Paths(graph, origin: origin, database: database)
        let (gateways, sites) = new.changes(since: ways.common)
        for gateway in gateways { staleServices.formUnion(index.services(of: gateway)) }
        staleServices.formUnion(index.services(of: sites))
        let profiles = ServiceWays.profiles(origin, ownServiceCosts, database)
        let concerned = ways.set(graph, new, profiles)
        staleServices.formUnion(index.services(of: concerned))
        changes.ended = database.takeEnded()
        describeGateways(&changes)
    }

    /// Puts the ways to all gateways, and the names of sites, into the table.
    mutating func describeGateways(_ changes: inout RouteChanges) {
        var routes: [ProxyID: GatewayRoute] = [:]
        var names: [SiteID: String] = [:]
        for gateway in database.origins.sorted() where gateway != origin {
            guard let first = database.first(of: gateway) else { continue }
            if names[gateway.site] == nil, !first.displayName.isEmpty {
                names[gateway.site] = first.displayName
            }
            guard let path = ways.common.paths[gateway]?.first else { continue }
            routes[gateway] = GatewayRoute(
                cost: path.cost,
                hops: path.hops,
                via: path.via,
                agreementKey: first.agreementKey
            )
        }
        changes.gateways = routes != table.gateways
        for site in Set(names.keys).union(table.siteNames.keys)
        where names[site] != table.siteNames[site] {
            changes.names.insert(site)
        }
        table.gateways = routes
        table.siteNames = names
    }

    /// Every LSA that is held, for tests and for people.
    package var headers: [LSAHeader] {
        database.headers(of: Set(database.origins))
    }

    /// Advertisements that did not fit into the database, or were out of date, since the start.
    package var refusals: UInt64 { database.refusals + outdated }

    /// Advertisements that came too soon to be taken.
    package var deferrals: UInt64 { pace.deferrals }

    /// Service ports for which state is kept.
    package var heldServices: Int { table.services.count }

    /// True when nothing is on its way to any neighbor.
    package var isQuiet: Bool { adjacencies.values.allSatisfy(\.queue.isIdle) }
}
