package import NetworkModel
package import ProxyContract

/// What the control of a proxy is told once, at its start.
package struct ControlOptions: Equatable, Sendable {
    /// This proxy.
    package var own: ProxyID
    /// What it was before it started again: processes that have ended for certain.
    package var predecessors: [ProxyID]
    /// Event loops, at least 1.
    package var loops: Int
    /// The address that listeners bind unless the configuration names one; nil: every address.
    package var bind: IPAddress?
    package var linkPort: UInt16
    /// Where siblings and sidecars come in; nil: nobody does.
    package var internalPort: UInt16?
    /// Where the process answers for health and metrics, which is no server of anybody's.
    package var admin: Endpoint?
    /// A gateway of a cluster, among others.
    package var isInCluster: Bool
    /// The name of the own site's gateways: a gateway's siblings (nil: alone), a sidecar's gateways.
    package var gateways: HostAndPort?
    package var shares: LaneShares
    /// For the jitter of back-offs.
    package var seed: UInt64

    package init(
        own: ProxyID,
        predecessors: [ProxyID] = [],
        loops: Int = 1,
        bind: IPAddress? = nil,
        linkPort: UInt16 = 5671,
        internalPort: UInt16? = 5672,
        admin: Endpoint? = nil,
        isInCluster: Bool = false,
        gateways: HostAndPort? = nil,
        shares: LaneShares = LaneShares(),
        seed: UInt64 = 0
    ) {
        self.own = own
        self.predecessors = predecessors
        self.loops = loops
        self.bind = bind
        self.linkPort = linkPort
        self.internalPort = internalPort
        self.admin = admin
        self.isInCluster = isInCluster
        self.gateways = gateways
        self.shares = shares
        self.seed = seed
    }
}

/// How many lanes and proxies of others this proxy takes.
package struct LaneShares: Equatable, Sendable, Codable {
    /// Lanes in all.
    package var lanes: Int
    /// Accepted lanes of one other site, and of this site.
    package var lanesPerSite: Int
    package var lanesOfOwnSite: Int
    /// Proxies of one other site, and of this site, with which there are lanes.
    package var proxiesPerSite: Int
    package var proxiesOfOwnSite: Int

    package init(
        lanes: Int = 4_096,
        lanesPerSite: Int = 256,
        lanesOfOwnSite: Int = 4_096,
        proxiesPerSite: Int = 64,
        proxiesOfOwnSite: Int = 4_096
    ) {
        self.lanes = lanes
        self.lanesPerSite = lanesPerSite
        self.lanesOfOwnSite = lanesOfOwnSite
        self.proxiesPerSite = proxiesPerSite
        self.proxiesOfOwnSite = proxiesOfOwnSite
    }
}
