package import NetworkModel

/// What one gateway observes, as `GET /v1/snapshot` answers it.
///
/// Counters are cumulative for the life of the proxy instance (`proxy`); the reader keeps a cursor per instance
/// and adds differences. A gateway reports its attached sidecars one by one, keyed by their ProxyID: a sidecar that is
/// attached to two gateways appears in both snapshots with the same counters, and counts once.
package struct ProxySnapshot: Codable, Equatable, Sendable {
    /// Increases whenever anything below changed; the argument `after` of a long poll.
    @Counted package var version: UInt64
    package var proxy: ProxyID
    /// The generation of the configuration that this gateway routes with.
    @Counted package var appliedGeneration: UInt64
    /// How many configurations this instance has applied since its start.
    @Counted package var appliedCount: UInt64
    /// Why the newest configuration was not applied; nil when it was.
    package var configurationError: String?
    /// Advertisements of other gateways that were not believed, or for which there was no room.
    @Counted package var refusedAdvertisements: UInt64
    /// Why no links are accepted, with the port, though they should be; nil when they are.
    package var linkPortError: String?
    /// What its host is short of, so that connections wait; nil, as older proxies have it: nothing.
    package var shortages: [String]?
    package var links: [LinkSnapshot]
    /// Sites that tried to link to this one and were refused, newest last, at most 16.
    package var refused: [RefusedLink]
    /// Sites that have proved to hold a token of this one and are not let in yet; nil, as older proxies have it: none.
    package var claims: [JoinedSite]?
    package var services: [ServiceSnapshot]
    /// What this gateway itself has opened as ingress.
    package var counters: [ServiceCounters]
    package var failovers: [FailoverSnapshot]
    package var sidecars: [SidecarSnapshot]

    package init(proxy: ProxyID) {
        version = 0
        self.proxy = proxy
        appliedGeneration = 0
        appliedCount = 0
        refusedAdvertisements = 0
        links = []
        refused = []
        services = []
        counters = []
        failovers = []
        sidecars = []
    }
}

/// One configured Link as this gateway sees it.
package struct LinkSnapshot: Codable, Equatable, Sendable {
    package enum Reason: String, OpenEnumeration, Sendable, CaseIterable {
        case connecting = "Connecting"
        case connected = "Connected"
        case siteIDMismatch = "SiteIDMismatch"
        case notAllowed = "NotAllowed"
        case unreachable = "Unreachable"
        case certificateInvalid = "CertificateInvalid"
        case clockSkew = "ClockSkew"
        case toSelf = "ToSelf"
        case duplicateIdentity = "DuplicateIdentity"

        /// The message beside it says what it is.
        package static let unknown = Self.unreachable
    }

    package var name: LinkName
    package var reason: Reason
    /// With the remedy; for `unreachable` the last error of each endpoint.
    package var message: String
    /// Who is at the other end, once known, with the name that it gives itself.
    package var remote: SiteName?
    /// The cost that this gateway routes with.
    package var cost: LinkCost
    /// What it routes single services with, where that is another cost.
    package var serviceCosts: [ServiceAddress: LinkCost] {
        get { ServiceCost.table(costs) }
        set { costs = ServiceCost.list(newValue) }
    }
    private var costs: [ServiceCost]?
    /// Streams crossing the link now, and ever.
    @Counted package var active: UInt64
    @Counted package var opened: UInt64
    /// Smoothed, in microseconds.
    package var roundTripMicroseconds: UInt64? {
        get { roundTrip?.wrappedValue }
        set { roundTrip = newValue.map(Counted.init) }
    }
    private var roundTrip: Counted?
    /// How often an established link was lost.
    @Counted package var losses: UInt64
    /// Lanes dialed so far, those that failed included.
    @Counted package var lanesDialed: UInt64
    package var lastLoss: LinkLoss?

    private enum CodingKeys: String, CodingKey {
        case name, reason, message, remote, cost, active, opened, losses, lanesDialed, lastLoss
        case roundTrip = "roundTripMicroseconds"
        case costs = "serviceCosts"
    }

    package init(name: LinkName, reason: Reason, message: String, cost: LinkCost) {
        self.name = name
        self.reason = reason
        self.message = message
        self.cost = cost
        active = 0
        opened = 0
        losses = 0
        lanesDialed = 0
    }
}

/// The last time an established link was lost.
package struct LinkLoss: Codable, Equatable, Sendable {
    @WallTime package var time: Timestamp
    package var reason: String
    /// Streams that ran over it then.
    @Counted package var connections: UInt64

    package init(time: Timestamp, reason: String, connections: UInt64) {
        self.time = time
        self.reason = reason
        self.connections = connections
    }
}

/// A site that has proved to hold a token of this one.
package struct JoinedSite: Codable, Hashable, Sendable {
    package var grant: String
    /// With the name that it gives itself.
    package var site: SiteName

    package init(grant: String, site: SiteName) {
        self.grant = grant
        self.site = site
    }
}

/// A site that dialed this one and was refused.
package struct RefusedLink: Codable, Equatable, Sendable {
    package var site: SiteName
    package var reason: LinkSnapshot.Reason
    /// Of the last attempt.
    @WallTime package var time: Timestamp
    @Counted package var attempts: UInt64

    package init(site: SiteName, reason: LinkSnapshot.Reason, time: Timestamp, attempts: UInt64) {
        self.site = site
        self.reason = reason
        self.time = time
        self.attempts = attempts
    }
}

/// One service port and its targets, as this gateway balances over them.
package struct ServiceSnapshot: Codable, Equatable, Sendable {
    package enum State: String, OpenEnumeration, Sendable, CaseIterable {
        case usable = "Usable"
        case ejected = "Ejected"
        case draining = "Draining"
        /// The Service's own word keeps connections from it.
        case excluded = "Excluded"
        case unreachable = "Unreachable"

        /// Nothing says that the target can be used.
        package static let unknown = Self.unreachable
    }

    /// One site that serves this port.
    package struct Target: Codable, Equatable, Sendable {
        package var site: SiteName
        /// Nil while there is no path.
        package var pathCost: PathCost?
        /// What the Service takes in its place; nil, as in older snapshots: nothing.
        package var givenCost: PathCost?
        /// The number of its tier; nil, as in older snapshots: the first one.
        package var tier: Int?
        package var endpoints: UInt32
        /// Connections that this whole site has open to it, as this gateway knows.
        @Counted package var connections: UInt64
        package var state: State
        /// Why it is not usable, as a reason.
        package var reason: String?
        /// `local`, `link/NAME` (a Link of this site) or `from/SITEID` (a site that dialed this one).
        package var via: String

        package init(
            site: SiteName,
            pathCost: PathCost?,
            givenCost: PathCost? = nil,
            tier: Int? = nil,
            endpoints: UInt32,
            connections: UInt64,
            state: State,
            reason: String? = nil,
            via: String
        ) {
            self.site = site
            self.pathCost = pathCost
            self.givenCost = givenCost
            self.tier = tier
            self.endpoints = endpoints
            self.connections = connections
            self.state = state
            self.reason = reason
            self.via = via
        }
    }

    package var service: ServicePort
    /// False while the port is closed because no target is usable, or could not be bound.
    package var listening: Bool
    /// Why the port could not be bound.
    package var listenError: String?
    /// Hosts of this site that are not used, or not wholly; nil, as older proxies have it: none.
    package var hostProblems: [HostProblem]?
    /// By tiers, in each the cheapest first.
    package var targets: [Target]

    package init(service: ServicePort, listening: Bool, targets: [Target]) {
        self.service = service
        self.listening = listening
        self.targets = targets
    }
}

/// The counters of one service port at the proxy that has the clients.
package struct ServiceCounters: Codable, Equatable, Sendable {
    package var service: ServicePort
    @Counted package var active: UInt64
    @Counted package var opened: UInt64
    /// Connections that no target took.
    @Counted package var failed: UInt64
    /// Connections that were reset after bytes had been exchanged.
    @Counted package var interrupted: UInt64
    /// Connections that were reset before anything was tried for them.
    package var refused: UInt64 {
        get { refusedCount?.wrappedValue ?? 0 }
        set { refusedCount = newValue == 0 ? nil : Counted(wrappedValue: newValue) }
    }
    /// Older proxies do not say it.
    private var refusedCount: Counted?

    private enum CodingKeys: String, CodingKey {
        case service, active, opened, failed, interrupted
        case refusedCount = "refused"
    }

    package init(
        service: ServicePort,
        active: UInt64 = 0,
        opened: UInt64 = 0,
        failed: UInt64 = 0,
        interrupted: UInt64 = 0
    ) {
        self.service = service
        self.active = active
        self.opened = opened
        self.failed = failed
        self.interrupted = interrupted
    }
}

/// A sidecar attached to the gateway that reports it.
package struct SidecarSnapshot: Codable, Equatable, Sendable {
    package var proxy: ProxyID
    /// The generation of the table that the sidecar has acknowledged.
    @Counted package var appliedGeneration: UInt64
    package var counters: [ServiceCounters]
    package var failovers: [FailoverSnapshot]

    package init(
        proxy: ProxyID,
        appliedGeneration: UInt64,
        counters: [ServiceCounters],
        failovers: [FailoverSnapshot]
    ) {
        self.proxy = proxy
        self.appliedGeneration = appliedGeneration
        self.counters = counters
        self.failovers = failovers
    }
}

/// A failover record on the wall clock.
package struct FailoverSnapshot: Codable, Equatable, Sendable {
    @Counted package var sequence: UInt64
    package var service: ServicePort
    package var from: SiteName
    package var to: SiteName
    package var reason: String
    @WallTime package var time: Timestamp
    package var lost: UInt32
    package var resumed: UInt32
    @Counted package var durationMilliseconds: UInt64

    package init(
        sequence: UInt64,
        service: ServicePort,
        from: SiteName,
        to: SiteName,
        reason: String,
        time: Timestamp,
        lost: UInt32,
        resumed: UInt32,
        durationMilliseconds: UInt64
    ) {
        self.sequence = sequence
        self.service = service
        self.from = from
        self.to = to
        self.reason = reason
        self.time = time
        self.lost = lost
        self.resumed = resumed
        self.durationMilliseconds = durationMilliseconds
    }
}
