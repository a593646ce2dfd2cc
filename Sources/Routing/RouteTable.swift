package import NetworkModel

/// What routing knows at one moment: the way to every gateway, and who serves what.
///
/// Immutable once published; every loop and every attached sidecar reads the same value.
package struct RouteTable: Equatable, Sendable {
    /// Increases with every published table of one instance.
    package var version: UInt64
    package var origin: ProxyID
    /// Every reachable gateway but this one, those of the own site included.
    package var gateways: [ProxyID: GatewayRoute]
    /// The other sites that serve a port that somebody here uses, usable or not; sorted by SiteID.
    package var services: [ServicePort: [RouteTarget]]
    /// The names that sites give themselves.
    package var siteNames: [SiteID: String]

    package init(
        version: UInt64 = 0,
        origin: ProxyID,
        gateways: [ProxyID: GatewayRoute] = [:],
        services: [ServicePort: [RouteTarget]] = [:],
        siteNames: [SiteID: String] = [:]
    ) {
        self.version = version
        self.origin = origin
        self.gateways = gateways
        self.services = services
        self.siteNames = siteNames
    }
}

/// Where one table differs from the one before.
package struct RouteChanges: Equatable, Sendable {
    /// Service ports whose targets are others.
    package var services: Set<ServicePort>
    /// A gateway came or went, or the way to one, or its key, is another one.
    package var gateways: Bool
    /// Gateways that came or went, or whose key is another one.
    package var keys: Set<ProxyID>
    /// Sites that call themselves something else.
    package var names: Set<SiteID>
    /// Gateways that have ended for certain: they started again, and said so.
    package var ended: Set<ProxyID>
    /// Services whose own costs are not gone by any more: there are more different ones than `RoutingLimits.costProfiles`.
    package var leftOut: Set<ServiceAddress> = []

    package init(
        services: Set<ServicePort> = [],
        gateways: Bool = false,
        keys: Set<ProxyID> = [],
        names: Set<SiteID> = [],
        ended: Set<ProxyID> = []
    ) {
        self.services = services
        self.gateways = gateways
        self.keys = keys
        self.names = names
        self.ended = ended
    }

    package var isEmpty: Bool {
        services.isEmpty && !gateways && names.isEmpty && ended.isEmpty && leftOut.isEmpty
    }
}

/// The explicit route to one gateway.
package struct GatewayRoute: Hashable, Sendable {
    package var cost: PathCost
    /// From the next hop to the gateway itself, both included; never empty.
    package var hops: [ProxyID]
    /// The edge to the next hop.
    package var via: EdgeName
    /// The gateway's X25519 public key.
    package var agreementKey: [UInt8]

    package init(cost: PathCost, hops: [ProxyID], via: EdgeName, agreementKey: [UInt8]) {
        self.cost = cost
        self.hops = hops
        self.via = via
        self.agreementKey = agreementKey
    }
}

/// One other site that serves a port.
package struct RouteTarget: Hashable, Sendable {
    /// Its cost is the least over the site's gateways that can serve, its endpoints the most that one of them advertises.
    ///
    /// A last resort where every gateway that could serve drains.
    package var target: Target
    /// The routes of that cost, at most `RoutingLimits.equalPaths` or one per gateway: streams go round them.
    ///
    /// First one to each gateway, in the order of the gateways, then a second one to each, and so on. Empty when unusable.
    package var routes: [[ProxyID]]
    /// Dearer ways to the site, the cheapest first: to its other gateways, and around transit proxies.
    ///
    /// They are tried when no route takes a stream, before the site is given up.
    package var detours: [[ProxyID]]
    /// The edge by which the first route leaves this proxy; nil when unusable.
    package var via: EdgeName?

    package init(
        target: Target,
        routes: [[ProxyID]],
        detours: [[ProxyID]] = [],
        via: EdgeName?
    ) {
        self.target = target
        self.routes = routes
        self.detours = detours
        self.via = via
    }

    package var site: SiteID { target.site }
}
