import NetworkModel

extension RouteTable {
    /// Joins paths and advertisements: who serves what, at which cost, over which routes.
    init(origin: ProxyID, paths: [ProxyID: SPF.Path], database: LSDB) {
        self.init(origin: origin)
        var offers: [ServicePort: [SiteID: Offer]] = [:]
        for gateway in database.fragments.keys.sorted() where gateway != origin {
            let advertisements = database.advertisements(of: gateway)
            guard let first = advertisements.first else { continue }
            if siteNames[gateway.site] == nil, !first.displayName.isEmpty {
                siteNames[gateway.site] = first.displayName
            }
            let path = paths[gateway]
            if let path {
                gateways[gateway] = GatewayRoute(
                    cost: path.cost,
                    hops: path.hops,
                    via: path.via,
                    agreementKey: first.agreementKey
                )
            }
            guard gateway.site != origin.site else { continue }
            for advertisement in advertisements {
                for service in advertisement.services {
                    offers[service.service, default: [:]][gateway.site, default: Offer()]
                        .add(gateway, path, service.endpoints, isDraining: first.overload)
                }
            }
        }
        let losses = Losses(origin: origin, paths: paths, database: database)
        services = offers.mapValues { sites in
            sites.sorted { $0.key < $1.key }.map { $0.value.target($0.key, losses) }
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
            _ gateway: ProxyID,
            _ path: SPF.Path?,
            _ endpoints: UInt32,
            isDraining: Bool
        ) {
            guard let path else { return }
            isReached = true
            if isDraining {
                draining.add(path, endpoints)
            } else {
                isServing = true
                serving.add(path, endpoints)
            }
        }

        func target(_ site: SiteID, _ losses: Losses) -> RouteTarget {
            if serving.weight > 0 { return serving.target(site) }
            if draining.weight > 0 { return draining.target(site, isLastResort: true) }
            if isServing { return serving.target(site, absence: .noEndpoints) }
            if isReached { return serving.target(site, absence: .draining) }
            return serving.target(site, absence: losses.reason(site))
        }
    }

    /// The cheapest of some gateways of a site.
    private struct Choice {
        private var cost = PathCost.unreachable
        private(set) var weight: UInt32 = 0
        private var routes: [[ProxyID]] = []
        private var via: EdgeName?

        mutating func add(_ path: SPF.Path, _ endpoints: UInt32) {
            guard endpoints > 0 else { return }
            weight = max(weight, endpoints)
            if path.cost < cost {
                cost = path.cost
                routes = []
                via = path.via
            }
            if path.cost == cost { routes.append(path.hops) }
        }

        func target(
            _ site: SiteID,
            isLastResort: Bool = false,
            absence: FailoverReason? = nil
        ) -> RouteTarget {
            RouteTarget(
                site: site,
                cost: cost,
                weight: weight,
                routes: routes,
                via: via,
                isLastResort: isLastResort,
                absence: absence
            )
        }
    }

    /// Why a site is out of reach.
    private struct Losses {
        /// Sites whose gateways are gone though a neighbor of theirs, in a third site, is there.
        private var lost: Set<SiteID> = []

        init(origin: ProxyID, paths: [ProxyID: SPF.Path], database: LSDB) {
            for gateway in database.fragments.keys where paths[gateway] == nil {
                let neighbors = database.advertisements(of: gateway).flatMap(\.edges)
                let isSeenFromElsewhere = neighbors.contains { edge in
                    edge.neighbor.site != origin.site && edge.neighbor.site != gateway.site
                        && paths[edge.neighbor] != nil
                }
                if isSeenFromElsewhere { lost.insert(gateway.site) }
            }
        }

        func reason(_ site: SiteID) -> FailoverReason {
            lost.contains(site) ? .siteLost : .linkLost
        }
    }
}
