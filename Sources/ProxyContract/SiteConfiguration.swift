package import FoundationEssentials
package import NetworkModel

/// What the proxies of one site do: the one value that the compile step makes and the proxies apply.
///
/// It knows no API object. Equal configurations have equal encodings (sorted, canonical), so "did anything change"
/// is a comparison of values. Lists are sorted by name; the compile step guarantees unique names.
package struct SiteConfiguration: Equatable, Sendable, Codable {
    /// This site: its identity and the name it gives itself, for display.
    package var site: SiteName
    /// The sites that may dial this one.
    package var allow: [SiteName]
    /// The tokens that were issued here; nil, as in older configurations: none.
    package var grants: [GrantConfiguration]?
    /// True when the Site has `linkAccess`: the gateways listen for Links on port 5671.
    package var acceptsLinks: Bool
    package var links: [LinkConfiguration]
    package var services: [ServiceConfiguration]
    /// Addresses that lead to this site's gateways, such as those of its core Services: no `hosts` may name them.
    ///
    /// Nil, as in older configurations: none are known.
    package var ownAddresses: AddressList?
    package var health: HealthParameters
    package var drain: DrainParameters
    /// Event loops per gateway: 0 = one per core of the cgroup's quota, at most 8.
    package var loops: Int
    /// Bytes that a gateway may take for what passes through it; nil, as in older configurations: a part of its cgroup's limit.
    package var memoryBudget: UInt64?

    private enum CodingKeys: String, CodingKey {
        case site, allow, grants, acceptsLinks, links, services, memoryBudget
        // `ownAddresses` was a list of texts: who does not know the new name goes without.
        case ownAddresses = "addresses"
        case health, drain, loops
    }

    package init(
        site: SiteName,
        allow: [SiteName] = [],
        acceptsLinks: Bool = false,
        links: [LinkConfiguration] = [],
        services: [ServiceConfiguration] = [],
        health: HealthParameters = .standard,
        drain: DrainParameters = .standard,
        loops: Int = 0,
        memoryBudget: UInt64? = nil
    ) {
        self.site = site
        self.allow = allow
        self.acceptsLinks = acceptsLinks
        self.links = links
        self.services = services
        self.health = health
        self.drain = drain
        self.loops = loops
        self.memoryBudget = memoryBudget
    }
}

/// What a gateway knows of a token that was issued by its site: enough to see that somebody holds it.
package struct GrantConfiguration: Hashable, Sendable, Codable {
    package var name: String
    /// The digest of its secret.
    package var key: Data
    /// Claims come before that time, in seconds since 1970.
    package var expires: Int64
    /// How many sites may still come by it.
    package var uses: Int
    /// Who came by it and was cut off: it does not let these in again; nil: none.
    package var revoked: [SiteID]?

    package init(
        name: String,
        key: Data,
        expires: Int64,
        uses: Int,
        revoked: [SiteID]? = nil
    ) {
        self.name = name
        self.key = key
        self.expires = expires
        self.uses = uses
        self.revoked = revoked
    }
}

/// The token with which a Link is let in at the other site.
package struct TokenConfiguration: Hashable, Sendable, Codable {
    package var grant: String
    /// The digest of its secret.
    package var key: Data

    package init(grant: String, key: Data) {
        self.grant = grant
        self.key = key
    }
}

/// A site's identity with the name by which this site's own manifests call it.
package struct SiteName: Hashable, Sendable, Codable {
    package var id: SiteID
    /// Empty when the manifest gives none.
    package var name: String

    package init(id: SiteID, name: String = "") {
        self.id = id
        self.name = name
    }

    /// What people read: the name, or else the identity.
    package var displayName: String { name.isEmpty ? id.text : name }
}

/// One Link that this site dials.
package struct LinkConfiguration: Equatable, Sendable, Codable {
    package var name: LinkName
    /// Tried in order, then round again; never empty.
    package var endpoints: [HostAndPort]
    /// The accepting site's identity, pinned.
    package var remoteSite: SiteID
    /// Another identity of that site, pinned as well while it goes from one to the other.
    package var nextRemoteSite: SiteID?
    package var cost: LinkCost
    /// Nil, as in older configurations: none.
    private var costs: [ServiceCost]?
    /// Bounds of a cost that follows the round-trip time; nil, as in older configurations: it is always `cost`.
    package var autoCost: AutoCost.Bounds?
    package var health: HealthParameters
    /// Nil, as in older configurations: none.
    package var token: TokenConfiguration?
    /// Nil, as in older configurations: the standard one.
    private var resumeGraceMilliseconds: Int64?

    private enum CodingKeys: String, CodingKey {
        case name, endpoints, remoteSite, nextRemoteSite, cost, autoCost, health, token
        case resumeGraceMilliseconds
        case costs = "serviceCosts"
    }

    package init(
        name: LinkName,
        endpoints: [HostAndPort],
        remoteSite: SiteID,
        nextRemoteSite: SiteID? = nil,
        cost: LinkCost,
        serviceCosts: [ServiceAddress: LinkCost] = [:],
        autoCost: AutoCost.Bounds? = nil,
        health: HealthParameters,
        token: TokenConfiguration? = nil,
        resumeGrace: Duration? = nil
    ) {
        self.name = name
        self.endpoints = endpoints
        self.remoteSite = remoteSite
        self.nextRemoteSite = nextRemoteSite
        self.cost = cost
        self.autoCost = autoCost
        self.health = health
        self.token = token
        self.resumeGrace = resumeGrace
        self.serviceCosts = serviceCosts
    }

    /// What the link costs for single services, where it is not `cost`.
    package var serviceCosts: [ServiceAddress: LinkCost] {
        get { ServiceCost.table(costs) }
        set { costs = ServiceCost.list(newValue) }
    }

    /// How long a connection that lost its path over this link waits for another one; nil: `ResumeGrace.standard`.
    package var resumeGrace: Duration? {
        get { resumeGraceMilliseconds.map { .milliseconds($0) } }
        set { resumeGraceMilliseconds = newValue.map { $0.wholeNanoseconds / 1_000_000 } }
    }

    /// Who may answer.
    package var remoteSites: Set<SiteID> {
        Set([remoteSite, nextRemoteSite].compactMap(\.self))
    }

    /// Whether one and the same site may answer to both.
    package func leadsToSite(of other: LinkConfiguration) -> Bool {
        !remoteSites.isDisjoint(with: other.remoteSites)
    }
}

/// What a Link costs for one service.
struct ServiceCost: Equatable, Sendable, Codable {
    let address: ServiceAddress
    let cost: LinkCost

    /// Sorted, so that equal ones are equal bytes; nil for none.
    static func list(_ table: [ServiceAddress: LinkCost]) -> [ServiceCost]? {
        let list = table.sorted { $0.key < $1.key }
            .map { ServiceCost(address: $0.key, cost: $0.value) }
        return list.isEmpty ? nil : list
    }

    static func table(_ list: [ServiceCost]?) -> [ServiceAddress: LinkCost] {
        Dictionary(
            (list ?? []).map { ($0.address, $0.cost) },
            uniquingKeysWith: { first, _ in first }
        )
    }
}

/// A host name or IP address, unresolved, with a port.
package struct HostAndPort: Hashable, Sendable, Codable, CustomStringConvertible {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// One Service object: a workload that is offered, clients that are served, or both.
package struct ServiceConfiguration: Equatable, Sendable, Codable {
    /// The name of the Service object; unique within the site.
    package var name: String
    package var address: ServiceAddress
    package var ports: [ServicePortConfiguration]
    /// Where this site's own servers are; nil when it only consumes.
    package var provider: Provider?
    package var timeouts: ServiceTimeouts
    /// Whether this site's servers are told who the client is, by the PROXY protocol; nil, as in older configurations: no.
    package var proxyProtocol: Bool?
    /// How this site's connections are spread over the sites that serve; nil, as in older configurations: the standard one.
    package var balancing: BalancingPolicy?
    /// The other sites whose clients may use this site's servers; nil, as in older configurations: all.
    package var allowedSites: [SiteID]?
    /// Whether clients' first bytes travel with the opening of their connection; nil, as in older configurations: no.
    package var earlyData: Bool?

    package init(
        name: String,
        address: ServiceAddress,
        ports: [ServicePortConfiguration],
        provider: Provider? = nil,
        timeouts: ServiceTimeouts = .standard,
        proxyProtocol: Bool? = nil,
        balancing: BalancingPolicy? = nil,
        allowedSites: [SiteID]? = nil,
        earlyData: Bool? = nil
    ) {
        self.name = name
        self.address = address
        self.ports = ports
        self.provider = provider
        self.timeouts = timeouts
        self.proxyProtocol = proxyProtocol
        self.balancing = balancing
        self.allowedSites = allowedSites
        self.earlyData = earlyData
    }

    /// Whether clients of the site may use this site's servers; its own may always.
    package func admits(_ site: SiteID, own: SiteID) -> Bool {
        site == own || allowedSites?.contains(site) ?? true
    }

    /// Whether connections to this site's servers begin with a header that names the client.
    package var introducesClients: Bool { proxyProtocol ?? false }

    /// Whether clients' first bytes travel with OPEN.
    package var isEarly: Bool { earlyData ?? false }

    /// The source of the local endpoints.
    package enum Provider: Equatable, Sendable {
        /// The EndpointSlices of the core Service of this name in the site's namespace, matched by port name.
        case endpointSlices(service: String)
        /// Fixed hosts (addresses or names) outside of a cluster, on `targetPort`; always taken as ready.
        case hosts([String])
    }
}

/// One port of a service.
package struct ServicePortConfiguration: Equatable, Sendable, Codable {
    package var name: PortName
    /// The port that clients connect to.
    package var port: UInt16
    /// The servers' port, for `hosts`; EndpointSlices carry their own.
    package var targetPort: UInt16
    /// Where gateways listen for clients of this site; nil when nothing listens.
    package var listen: Listen?

    package init(name: PortName, port: UInt16, targetPort: UInt16, listen: Listen? = nil) {
        self.name = name
        self.port = port
        self.targetPort = targetPort
        self.listen = listen
    }

    /// A gateway's listening socket.
    package struct Listen: Hashable, Sendable, Codable {
        /// An IP address; nil: every address of the pod.
        package var host: String?
        package var port: UInt16

        package init(host: String? = nil, port: UInt16) {
            self.host = host
            self.port = port
        }
    }
}
