package import KubernetesAPI
package import NetworkModel

/// A site: a namespace of a cluster, or a plain Linux host, whose proxies act as one.
package struct Site: NetworkObject {
    package static let resource = Resource(
        group: NetworkGroup.name,
        version: NetworkGroup.version,
        kind: "Site",
        plural: "sites"
    )
    /// The `controllerName` of a Site that names none.
    package static let controllerName = "tieline.dev/controller"

    package var metadata: ObjectMeta
    @OmitEmpty package var spec: SiteSpec
    @Rebuildable package var status: SiteStatus

    package init(
        metadata: ObjectMeta,
        spec: SiteSpec = SiteSpec(),
        status: SiteStatus = SiteStatus()
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

/// What is wanted of a site; all of it may be left out.
package struct SiteSpec: Schema, Hashable {
    /// Which controller acts on this Site; absent: `Site.controllerName`.
    package var controllerName: String?
    /// How other sites reach this one; nil: this site only dials out.
    package var linkAccess: LinkAccess?
    /// The sites that may dial this one.
    package var allow: [NamedSite]?
    /// Further sites that this Site's Services may name.
    package var sites: [NamedSite]?
    /// A CA that somebody else made; absent: the site makes its own.
    package var identity: BroughtIdentity?
    /// Whose servers are used here.
    package var imports: Imports?
    /// Who may use the servers here.
    package var exports: Exports?
    package var proxy: ProxySettings?
    package var drain: DrainSettings?
    package var health: HealthSettings?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case controllerName, linkAccess, allow, sites, identity, imports, exports, proxy, drain
        case health
    }

    package init() {}
}

/// How other sites reach this one.
package struct LinkAccess: Hashable, Sendable, Codable {
    package static let standardPort: UInt16 = 5671

    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case clusterIP = "ClusterIP"
        case nodePort = "NodePort"
        case loadBalancer = "LoadBalancer"
        case external = "External"
    }

    package var type: Kind
    /// The port that others dial; absent: 5671.
    package var port: UInt16?
    /// Names and addresses to advertise; `External` needs them.
    package var hosts: [String]?
    /// Of the core Service: how clouds are told what load balancer is wanted.
    package var annotations: [String: String]?
    package var loadBalancerClass: String?
    /// Whom the load balancer lets in, as CIDR blocks.
    package var loadBalancerSourceRanges: [String]?
    package var externalTrafficPolicy: ExternalTrafficPolicy?
    package var allocateLoadBalancerNodePorts: Bool?

    package enum ExternalTrafficPolicy: String, Hashable, Sendable, Codable, CaseIterable {
        case cluster = "Cluster"
        case local = "Local"
    }

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case type, port, hosts, annotations, loadBalancerClass, loadBalancerSourceRanges
        case externalTrafficPolicy, allocateLoadBalancerNodePorts
    }

    package init(type: Kind, port: UInt16? = nil, hosts: [String]? = nil) {
        self.type = type
        self.port = port
        self.hosts = hosts
    }
}

/// A CA that somebody else made and keeps.
package struct BroughtIdentity: Hashable, Sendable, Codable {
    /// The Secret with its certificate and key, as cert-manager makes it: `tls.crt`, `tls.key`.
    package var secretName: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case secretName }

    package init(secretName: String) { self.secretName = secretName }
}

/// Whose servers are used where a Service says nothing.
package struct Imports: Hashable, Sendable, Codable {
    /// The sites, beside this one, by SiteIDs or names of `allow` and `sites`; absent: all.
    package var trusted: [String]?

    package enum CodingKeys: String, CodingKey, CaseIterable { case trusted }

    package init(trusted: [String]? = nil) { self.trusted = trusted }
}

/// Who may use the servers here where a Service says nothing.
package struct Exports: Hashable, Sendable, Codable {
    package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
        case allow = "Allow"
        case deny = "Deny"
    }

    /// Absent: `Allow`.
    package var `default`: Verdict?

    package enum CodingKeys: String, CodingKey, CaseIterable { case `default` }

    package init(default verdict: Verdict? = nil) { `default` = verdict }
}

/// Another site, with the name by which this Site's manifests call it.
package struct NamedSite: Hashable, Sendable, Codable {
    package var siteID: SiteID
    package var name: String?

    package enum CodingKeys: String, CodingKey, CaseIterable { case siteID, name }

    package init(siteID: SiteID, name: String? = nil) {
        self.siteID = siteID
        self.name = name
    }
}

/// The gateways of a site.
package struct ProxySettings: Hashable, Sendable, Codable {
    package static let standardReplicas: Int32 = 2

    package var replicas: Int32?
    package var resources: ComputeResources?
    /// Event loops per gateway; 0 or absent: one per core of the quota, at most 8.
    package var loops: Int32?
    /// Memory of a gateway; absent: what its container may use.
    package var memoryBudget: Quantity?
    package var nodeSelector: [String: String]?
    package var tolerations: [Core.Toleration]?
    /// As in a Pod; nobody here looks into it.
    package var affinity: JSONValue?
    /// Absent: over hosts, as far as possible.
    package var topologySpreadConstraints: [TopologySpread]?
    package var priorityClassName: String?
    package var podLabels: [String: String]?
    package var podAnnotations: [String: String]?
    package var imagePullSecrets: [Core.LocalObjectReference]?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case replicas, resources, loops, memoryBudget, nodeSelector, tolerations, affinity
        case topologySpreadConstraints, priorityClassName, podLabels, podAnnotations
        case imagePullSecrets
    }

    package init(
        replicas: Int32? = nil,
        resources: ComputeResources? = nil,
        loops: Int32? = nil
    ) {
        self.replicas = replicas
        self.resources = resources
        self.loops = loops
    }
}

/// How a site's gateways are spread; what is counted is always the gateways of the Site.
package struct TopologySpread: Hashable, Sendable, Codable {
    package var topologyKey: String
    /// Absent: 1.
    package var maxSkew: Int32?
    /// Absent: `ScheduleAnyway`.
    package var whenUnsatisfiable: String?
    package var minDomains: Int32?
    package var nodeAffinityPolicy: String?
    package var nodeTaintsPolicy: String?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case topologyKey, maxSkew, whenUnsatisfiable, minDomains, nodeAffinityPolicy
        case nodeTaintsPolicy
    }

    package init(topologyKey: String) { self.topologyKey = topologyKey }
}

/// What a gateway's container asks for and is limited to, as in a core container.
package struct ComputeResources: Hashable, Sendable, Codable {
    package var requests: [String: Quantity]?
    package var limits: [String: Quantity]?

    package enum CodingKeys: String, CodingKey, CaseIterable { case requests, limits }

    package init(requests: [String: Quantity]? = nil, limits: [String: Quantity]? = nil) {
        self.requests = requests
        self.limits = limits
    }
}

/// What the gateways do when they are told to stop.
package struct DrainSettings: Hashable, Sendable, Codable {
    /// Accepting goes on for this long; absent: 5 s.
    package var delay: APIDuration?
    /// Open connections get this long to end; absent: 30 s.
    package var grace: APIDuration?

    package enum CodingKeys: String, CodingKey, CaseIterable { case delay, grace }

    package init(delay: APIDuration? = nil, grace: APIDuration? = nil) {
        self.delay = delay
        self.grace = grace
    }
}

/// How a silent neighbor is noticed.
package struct HealthSettings: Hashable, Sendable, Codable {
    /// Between two heartbeats; absent: 250 ms.
    package var heartbeat: APIDuration?
    /// Heartbeats missed before the neighbor counts as down; absent: 3.
    package var misses: Int32?

    package enum CodingKeys: String, CodingKey, CaseIterable { case heartbeat, misses }

    package init(heartbeat: APIDuration? = nil, misses: Int32? = nil) {
        self.heartbeat = heartbeat
        self.misses = misses
    }
}

/// What the controller (or a plain site's proxy) observes of a Site.
package struct SiteStatus: NetworkStatus {
    package var observedGeneration: Int64?
    @OmitEmpty package var conditions: [Condition] = []
    package var summary: String?
    package var siteID: SiteID?
    /// An identity that is prepared and not used yet.
    package var nextSiteID: SiteID?
    /// The identity from before a rotation, while its key is kept.
    package var previousSiteID: SiteID?
    /// When the certificates end.
    package var certificates: Certificates?
    /// Where others link to; only addresses that exist.
    @OmitEmpty package var endpoints: [LinkEndpoint] = []
    package var proxies: Proxies?
    package var links: Tally?
    package var services: Tally?
    package var connections: ConnectionCounts?
    @OmitEmpty package var cursors: [ProxyCursor] = []

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case observedGeneration, conditions, summary, siteID, nextSiteID, previousSiteID
        case certificates, endpoints, proxies, links, services, connections, cursors
    }

    package init() {}

    /// When the certificate of the site's CA ends, and those that its proxies show.
    package struct Certificates: Hashable, Sendable, Codable {
        package var authority: Timestamp?
        package var gateway: Timestamp?
        package var sidecar: Timestamp?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case authority, gateway, sidecar
        }

        package init(
            authority: Timestamp? = nil,
            gateway: Timestamp? = nil,
            sidecar: Timestamp? = nil
        ) {
            self.authority = authority
            self.gateway = gateway
            self.sidecar = sidecar
        }
    }

    /// How many proxies the site has.
    package struct Proxies: Hashable, Sendable, Codable {
        package var desired: Int32
        package var ready: Int32
        package var sidecars: Int32
        /// Pods that asked for a sidecar and have none; absent: none.
        package var notInjected: Int32?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case desired, ready, sidecars, notInjected
        }

        package init(desired: Int32, ready: Int32, sidecars: Int32, notInjected: Int32? = nil) {
            self.desired = desired
            self.ready = ready
            self.sidecars = sidecars
            self.notInjected = notInjected
        }
    }

    /// How many objects there are, and how many of them are Ready.
    package struct Tally: Hashable, Sendable, Codable {
        package var total: Int32
        package var ready: Int32

        package enum CodingKeys: String, CodingKey, CaseIterable { case total, ready }

        package init(total: Int32, ready: Int32) {
            self.total = total
            self.ready = ready
        }
    }
}
