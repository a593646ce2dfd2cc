import NetworkModel

// Paths: what follows from the database, worked out for what has changed.

extension RoutingInstance {
    mutating func run(_ outputs: inout [RoutingOutput], at now: Instant) {
        var changes = RouteChanges()
        if arePathsStale { findPaths(&changes, at: now) }
        for (service, sites) in staleTargets.sorted(by: { $0.key < $1.key })
        where setTargets(of: service, at: sites) {
            changes.services.insert(service)
        }
        staleTargets = [:]
        changes.leftOut = ways.takeLeftOut()
        guard !changes.isEmpty else { return }
        table.version += 1
        outputs.append(.routesChanged(table, changes))
    }

    /// True when one of them is another one than before.
    private mutating func setTargets(of service: ServicePort, at sites: Set<SiteID>) -> Bool {
        let paths = ways.paths(of: service.address)
        var targets = table.services[service] ?? []
        var isChanged = false
        for site in sites where site != origin.site {
            let offers = index.offers(of: service, at: site)
            let new = paths.target(site, offers, ways.standing)
            let place = targets.place(of: site)
            let isHeld = place < targets.count && targets[place].site == site
            guard new != (isHeld ? targets[place] : nil) else { continue }
            let range = place..<(isHeld ? place + 1 : place)
            targets.replaceSubrange(range, with: new.map { [$0] } ?? [])
            isChanged = true
        }
        if isChanged { table.services[service] = targets.isEmpty ? nil : targets }
        return isChanged
    }

    private mutating func findPaths(_ changes: inout RouteChanges, at now: Instant) {
        let isAging = database.nextDeadline.map { now >= $0 } ?? false
        if isAging { database.expire(at: now) }
        reindexGone()
        let isolated = ways.isolated
        update(&changes)
        database.note(unreachable: ways.isolated, at: now)
        // Neighbors that came meanwhile were not told of these.
        if !isolated.isSubset(of: ways.isolated) { compareSoon(at: now) }
        if isAging {
            database.forget(at: now)
            pace.tidy(at: now)
            reindexGone()
            update(&changes)
        }
        arePathsStale = false
        changes.ended = database.takeEnded()
    }

    /// Works out what follows from what some gateways say now.
    private mutating func update(_ changes: inout RouteChanges) {
        let stale = staleOrigins.union([origin])
        staleOrigins = []
        let changed = ways.update(
            stale,
            ownEdges: ownEdges,
            ownCosts: ownServiceCosts,
            database: database
        )
        for gateway in changed.gateways {
            markStale(index.services(of: gateway), at: gateway.site)
        }
        for site in changed.sites {
            for gateway in database.origins(of: site) {
                markStale(index.services(of: gateway), at: site)
            }
        }
        markStale(index.services(of: changed.services))
        describe(changed.gateways.union(stale), &changes)
        name(Set(stale.map(\.site)), &changes)
    }

    /// What sites offer of some service ports, or the ways there, are others.
    mutating func markStale(_ services: Set<ServicePort>, at site: SiteID) {
        for service in services { staleTargets[service, default: []].insert(site) }
    }

    /// The same at all sites that offer them, or did.
    mutating func markStale(_ services: Set<ServicePort>) {
        for service in services {
            let known = index.sites(of: service).union((table.services[service] ?? []).map(\.site))
            staleTargets[service, default: []].formUnion(known)
        }
    }

    /// Puts the ways to some gateways into the table.
    private mutating func describe(_ gateways: Set<ProxyID>, _ changes: inout RouteChanges) {
        for gateway in gateways where gateway != origin {
            var route: GatewayRoute?
            if let first = database.first(of: gateway),
                let path = ways.common.equal(to: gateway)?.first
            {
                route = GatewayRoute(
                    cost: path.cost,
                    hops: path.hops,
                    via: path.via,
                    agreementKey: first.agreementKey
                )
            }
            let old = table.gateways[gateway]
            guard route != old else { continue }
            if route?.agreementKey != old?.agreementKey { changes.keys.insert(gateway) }
            table.gateways[gateway] = route
            changes.gateways = true
        }
    }

    /// Puts the names of some sites into the table: the first that one of a site's gateways says.
    private mutating func name(_ sites: Set<SiteID>, _ changes: inout RouteChanges) {
        for site in sites {
            let gateways = database.origins(of: site).filter { $0 != origin }
            let said = gateways.compactMap { database.first(of: $0)?.displayName }
            let name = said.first { !$0.isEmpty }
            guard name != table.siteNames[site] else { continue }
            table.siteNames[site] = name
            changes.names.insert(site)
        }
    }

    /// Whom any chain of edges may join to this gateway: all that are known but for those that the last run found out of reach; in order.
    var connected: [ProxyID] { database.origins.filter { !ways.isolated.contains($0) } }

    /// Every LSA that is held, for tests and for people.
    package var headers: [LSAHeader] {
        database.headers(of: database.origins)
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

extension [RouteTarget] {
    /// Where a site stands in a list that is sorted by site, or would stand.
    fileprivate func place(of site: SiteID) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].site < site { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
