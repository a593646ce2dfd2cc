package import KubernetesAPI
package import NetworkModel

/// A link that this site dials to another site.
package struct Link: NetworkObject {
    package static let resource = Resource(
        group: NetworkGroup.name,
        version: NetworkGroup.version,
        kind: "Link",
        plural: "links"
    )

    package var metadata: ObjectMeta
    package var spec: LinkSpec
    @Rebuildable package var status: LinkStatus

    package init(metadata: ObjectMeta, spec: LinkSpec, status: LinkStatus = LinkStatus()) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

/// What is wanted of a link.
package struct LinkSpec: Hashable, Sendable, Codable {
    /// Tried in order, then round again.
    package var endpoints: [LinkEndpoint]
    /// The accepting site's identity, pinned.
    package var remoteSiteID: SiteID
    /// Another identity of that site, accepted as well: while it goes from one to the other.
    package var nextRemoteSiteID: SiteID?
    /// A token of that site, by which this one is let in once; kept harmlessly afterwards.
    package var tokenSecret: TokenReference?
    /// In connections per endpoint; absent: 1.
    package var cost: LinkCost?
    /// For single services another cost.
    package var serviceCosts: [ServiceCost]?
    /// Whether cost follows a measurement; absent: it does not.
    package var autoCost: AutoCost?
    /// Overrides the Site's.
    package var health: HealthSettings?
    /// How long connections wait for another path; absent: 10 s.
    package var resumeGrace: APIDuration?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case endpoints, remoteSiteID, nextRemoteSiteID, tokenSecret, cost, serviceCosts, autoCost
        case health, resumeGrace
    }

    package init(
        endpoints: [LinkEndpoint],
        remoteSiteID: SiteID,
        nextRemoteSiteID: SiteID? = nil,
        tokenSecret: TokenReference? = nil,
        cost: LinkCost? = nil,
        serviceCosts: [ServiceCost]? = nil,
        autoCost: AutoCost? = nil,
        health: HealthSettings? = nil,
        resumeGrace: APIDuration? = nil
    ) {
        self.endpoints = endpoints
        self.remoteSiteID = remoteSiteID
        self.nextRemoteSiteID = nextRemoteSiteID
        self.tokenSecret = tokenSecret
        self.cost = cost
        self.serviceCosts = serviceCosts
        self.autoCost = autoCost
        self.health = health
        self.resumeGrace = resumeGrace
    }
}

extension LinkSpec {
    /// What the cost follows, and between which bounds.
    package struct AutoCost: Hashable, Sendable, Codable {
        /// Absent: false.
        package var fromRoundTripTime: Bool?
        /// Absent: 1.
        package var min: LinkCost?
        /// Absent: 1000.
        package var max: LinkCost?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case fromRoundTripTime, min, max
        }

        package init(
            fromRoundTripTime: Bool? = nil,
            min: LinkCost? = nil,
            max: LinkCost? = nil
        ) {
            self.fromRoundTripTime = fromRoundTripTime
            self.min = min
            self.max = max
        }
    }

    /// What the link costs for one service.
    package struct ServiceCost: Hashable, Sendable, Codable {
        package var address: ServiceAddress
        package var cost: LinkCost

        package enum CodingKeys: String, CodingKey, CaseIterable { case address, cost }

        package init(address: ServiceAddress, cost: LinkCost) {
            self.address = address
            self.cost = cost
        }
    }
}

/// A Secret with a token, in the Link's namespace.
package struct TokenReference: Hashable, Sendable, Codable {
    package var name: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case name }

    package init(name: String) { self.name = name }
}

/// Where a site accepts links.
package struct LinkEndpoint: Hashable, Sendable, Codable {
    /// An address or a name.
    package var host: String
    package var port: UInt16

    package enum CodingKeys: String, CodingKey, CaseIterable { case host, port }

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }
}

/// What the controller (or a plain site's proxy) observes of a Link.
package struct LinkStatus: NetworkStatus {
    package var observedGeneration: Int64?
    @OmitEmpty package var conditions: [Condition] = []
    package var summary: String?
    package var remoteSite: RemoteSite?
    /// The cost that every gateway and every attached sidecar routes with now.
    package var appliedCost: LinkCost?
    /// Streams that cross this link.
    package var connections: ConnectionCounts?
    /// Bucketed, so that it does not change all the time.
    package var roundTripTime: APIDuration?
    package var failovers: Int64?
    package var lastFailover: LastFailover?
    @OmitEmpty package var cursors: [ProxyCursor] = []

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case observedGeneration, conditions, summary, remoteSite, appliedCost, connections
        case roundTripTime, failovers, lastFailover, cursors
    }

    package init() {}

    /// The site at the other end, with the name that it gives itself, for display.
    package struct RemoteSite: Hashable, Sendable, Codable {
        package var id: SiteID
        package var name: String?

        package enum CodingKeys: String, CodingKey, CaseIterable { case id, name }

        package init(id: SiteID, name: String? = nil) {
            self.id = id
            self.name = name
        }
    }

    /// The last time that the established link was lost.
    package struct LastFailover: Hashable, Sendable, Codable {
        package var time: Timestamp
        package var reason: String
        /// Streams that ran over it then.
        package var connections: Int64

        package enum CodingKeys: String, CodingKey, CaseIterable { case time, reason, connections }

        package init(time: Timestamp, reason: String, connections: Int64) {
            self.time = time
            self.reason = reason
            self.connections = connections
        }
    }
}
