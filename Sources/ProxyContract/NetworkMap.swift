package import NetworkModel

/// The network as one gateway knows it, as `GET /v1/network` answers it: every gateway with the ways to it, and what joins them.
///
/// Optional fields may be missing from other versions.
package struct NetworkMap: Codable, Equatable, Sendable {
    package var proxy: ProxyID
    package var site: SiteName
    @WallTime package var time: Timestamp
    /// The one that was asked comes first.
    package var gateways: [Gateway]
    package var edges: [Edge]

    package init(
        proxy: ProxyID,
        site: SiteName,
        time: Timestamp,
        gateways: [Gateway],
        edges: [Edge]
    ) {
        self.proxy = proxy
        self.site = site
        self.time = time
        self.gateways = gateways
        self.edges = edges
    }

    package struct Gateway: Codable, Equatable, Sendable {
        package var proxy: ProxyID
        package var site: SiteName
        package var isDraining: Bool
        /// Service ports that it advertises.
        package var services: Int
        /// The equal paths of the least cost; empty when it is out of reach.
        package var routes: [Route]

        package init(
            proxy: ProxyID,
            site: SiteName,
            isDraining: Bool,
            services: Int,
            routes: [Route]
        ) {
            self.proxy = proxy
            self.site = site
            self.isDraining = isDraining
            self.services = services
            self.routes = routes
        }
    }

    package struct Route: Codable, Equatable, Sendable {
        package var cost: PathCost
        /// The Link to the first hop; nil within the site.
        package var via: LinkName?
        /// The proxies after the one that was asked; none when it is the end itself.
        package var hops: [ProxyID]

        package init(cost: PathCost, via: LinkName?, hops: [ProxyID]) {
            self.cost = cost
            self.via = via
            self.hops = hops
        }
    }

    /// Joins two gateways.
    package struct Edge: Codable, Equatable, Sendable {
        /// The Link, as its site names it; nil for two gateways of one site.
        package var link: LinkName?
        /// The gateway that dials.
        package var from: ProxyID
        package var to: ProxyID
        /// Nil within a site, and while the side that dials has not told it.
        package var cost: LinkCost?
        /// Both ends say that it is there.
        package var isUp: Bool

        package init(
            link: LinkName?,
            from: ProxyID,
            to: ProxyID,
            cost: LinkCost?,
            isUp: Bool
        ) {
            self.link = link
            self.from = from
            self.to = to
            self.cost = cost
            self.isUp = isUp
        }
    }
}
