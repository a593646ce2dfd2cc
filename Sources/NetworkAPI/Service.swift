package import KubernetesAPI
package import NetworkModel

/// A service of the network: offered here, consumed here, or both.
package struct Service: NetworkObject {
    package static let resource = Resource(
        group: NetworkGroup.name,
        version: NetworkGroup.version,
        kind: "Service",
        plural: "services"
    )

    package var metadata: ObjectMeta
    package var spec: ServiceSpec
    @Rebuildable package var status: ServiceStatus

    package init(metadata: ObjectMeta, spec: ServiceSpec, status: ServiceStatus = ServiceStatus()) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

/// What is wanted of a service.
package struct ServiceSpec: Equatable, Sendable, Codable {
    /// The network-wide name; absent: the object's name.
    package var address: ServiceAddress?
    package var ports: [Port]
    /// Provider: the pods of this namespace with these labels.
    package var selector: [String: String]?
    /// Provider: servers outside of the cluster, addresses or names.
    package var hosts: [String]?
    /// Provider: the sites whose clients may use the servers here, beside this one; absent: as `Site.spec.exports` says.
    package var allowedSites: [String]?
    /// Consumer: only servers at these sites are used; absent: as `Site.spec.imports` says.
    package var fromSites: [String]?
    /// How clients of this site reach the service.
    package var listen: Listen?
    /// Consumer: how this site's connections are spread over the sites that serve.
    package var balancing: Balancing?
    package var timeouts: Timeouts?
    /// Whether the servers here are told who the client is, by the PROXY protocol; absent: no.
    package var proxyProtocol: Bool?
    /// Consumer: whether first bytes of clients travel with the opening of their connection; absent: no.
    package var earlyData: Bool?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case address, ports, selector, hosts, allowedSites, fromSites, listen, balancing, timeouts
        case proxyProtocol, earlyData
    }

    package init(
        address: ServiceAddress? = nil,
        ports: [Port],
        selector: [String: String]? = nil,
        hosts: [String]? = nil,
        allowedSites: [String]? = nil,
        fromSites: [String]? = nil,
        listen: Listen? = nil,
        balancing: Balancing? = nil,
        timeouts: Timeouts? = nil,
        proxyProtocol: Bool? = nil,
        earlyData: Bool? = nil
    ) {
        self.address = address
        self.ports = ports
        self.selector = selector
        self.hosts = hosts
        self.allowedSites = allowedSites
        self.fromSites = fromSites
        self.listen = listen
        self.balancing = balancing
        self.timeouts = timeouts
        self.proxyProtocol = proxyProtocol
        self.earlyData = earlyData
    }

    /// One port; matched across sites by address and port name.
    package struct Port: Hashable, Sendable, Codable {
        package var name: PortName
        /// What clients connect to.
        package var port: UInt16
        /// The servers' port, a number or the name of a container's port; absent: `port`.
        package var targetPort: IntOrString?

        package enum CodingKeys: String, CodingKey, CaseIterable { case name, port, targetPort }

        package init(name: PortName, port: UInt16, targetPort: IntOrString? = nil) {
            self.name = name
            self.port = port
            self.targetPort = targetPort
        }
    }

    /// The core Service through which clients reach the service.
    package struct Listen: Equatable, Sendable, Codable {
        /// Absent: true exactly when no provider field is set.
        package var enabled: Bool?
        /// Absent: the object's name.
        package var serviceName: String?
        /// The core Service is made in these namespaces too, where they consent.
        package var namespaces: LabelSelector?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case enabled, serviceName, namespaces
        }

        package init(
            enabled: Bool? = nil,
            serviceName: String? = nil,
            namespaces: LabelSelector? = nil
        ) {
            self.enabled = enabled
            self.serviceName = serviceName
            self.namespaces = namespaces
        }
    }

    /// Time limits of the service's connections.
    package struct Timeouts: Hashable, Sendable, Codable {
        /// Absent: 3 s.
        package var connect: APIDuration?
        /// Absent: 1 h.
        package var idle: APIDuration?
        /// Absent: 5 min.
        package var halfClosed: APIDuration?

        package enum CodingKeys: String, CodingKey, CaseIterable { case connect, idle, halfClosed }

        package init(
            connect: APIDuration? = nil,
            idle: APIDuration? = nil,
            halfClosed: APIDuration? = nil
        ) {
            self.connect = connect
            self.idle = idle
            self.halfClosed = halfClosed
        }
    }
}

/// What the controller (or a plain site's proxy) observes of a Service.
package struct ServiceStatus: NetworkStatus {
    /// How many targets a status lists at most.
    package static let maximumTargets = 20

    package var observedGeneration: Int64?
    @OmitEmpty package var conditions: [Condition] = []
    package var summary: String?
    /// What this site sees, cheapest first.
    @OmitEmpty package var targets: [Target] = []
    /// Usable targets of those that are known, such as `1/2`.
    package var usableTargets: String?
    /// The sites that new connections go to now.
    @OmitEmpty package var activeSites: [String] = []
    /// The same in one text: a table's column would show a list as JSON.
    package var active: String?
    package var connections: Connections?
    package var failovers: Int64?
    package var lastFailover: LastFailover?
    @OmitEmpty package var cursors: [ProxyCursor] = []

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case observedGeneration, conditions, summary, targets, usableTargets, activeSites, active
        case connections, failovers, lastFailover, cursors
    }

    package init() {}

    /// One site that serves the service.
    package struct Target: Hashable, Sendable, Codable {
        package var site: String
        /// The name of the port, when the Service has several.
        package var port: String?
        /// Nil while no path leads there.
        package var pathCost: Int64?
        package var endpoints: Int64
        package var connections: Int64
        /// `Usable`, `Ejected`, `Draining` or `Unreachable`.
        package var state: String
        package var reason: String?
        /// `local`, `link/NAME` or `from/SITEID`.
        package var via: String?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case site, port, pathCost, endpoints, connections, state, reason, via
        }

        package init(
            site: String,
            port: String? = nil,
            pathCost: Int64?,
            endpoints: Int64,
            connections: Int64,
            state: String,
            reason: String? = nil,
            via: String? = nil
        ) {
            self.site = site
            self.port = port
            self.pathCost = pathCost
            self.endpoints = endpoints
            self.connections = connections
            self.state = state
            self.reason = reason
            self.via = via
        }
    }

    /// Connections now and ever; `opened` and `failed` never fall while the object exists.
    package struct Connections: Hashable, Sendable, Codable {
        package var active: Int64
        package var opened: Int64
        package var failed: Int64

        package enum CodingKeys: String, CodingKey, CaseIterable { case active, opened, failed }

        package init(active: Int64 = 0, opened: Int64 = 0, failed: Int64 = 0) {
            self.active = active
            self.opened = opened
            self.failed = failed
        }
    }

    /// The last failover or failback.
    package struct LastFailover: Hashable, Sendable, Codable {
        package var time: Timestamp
        package var from: String
        package var to: String
        package var reason: String
        package var lost: Int64
        package var resumed: Int64
        package var duration: APIDuration

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case time, from, to, reason, lost, resumed, duration
        }

        package init(
            time: Timestamp,
            from: String,
            to: String,
            reason: String,
            lost: Int64,
            resumed: Int64,
            duration: APIDuration
        ) {
            self.time = time
            self.from = from
            self.to = to
            self.reason = reason
            self.lost = lost
            self.resumed = resumed
            self.duration = duration
        }
    }
}
