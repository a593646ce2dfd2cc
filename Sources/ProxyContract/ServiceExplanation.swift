package import NetworkModel

/// The explanations of the ports of a service, from one proxy.
package struct ServiceExplanations: Codable, Equatable, Sendable {
    package var items: [ServiceExplanation]

    package init(items: [ServiceExplanation]) { self.items = items }
}

/// Why connections of one service port go where they go, as `GET /v1/explain` answers it: a proxy's ranking at one moment, and
/// its last picks.
///
/// The ranking is made by what picks. Optional fields may be missing from other versions.
package struct ServiceExplanation: Codable, Equatable, Sendable {
    package var proxy: ProxyID
    package var site: SiteName
    package var service: ServicePort
    @WallTime package var time: Timestamp
    /// The next connection goes to the first that has a perceived cost.
    package var candidates: [Candidate]
    /// The newest first, at most 100.
    package var decisions: [Decision]
    /// This site's own servers, where it offers the service.
    package var servers: [Server]

    package init(
        proxy: ProxyID,
        site: SiteName,
        service: ServicePort,
        time: Timestamp,
        candidates: [Candidate],
        decisions: [Decision],
        servers: [Server]
    ) {
        self.proxy = proxy
        self.site = site
        self.service = service
        self.time = time
        self.candidates = candidates
        self.decisions = decisions
        self.servers = servers
    }

    /// An exact fraction, such as `41/2`, and its decimal, which is rounded.
    package struct Perceived: Codable, Equatable, Sendable {
        package var exact: String
        package var decimal: Double

        package init(exact: String, decimal: Double) {
            self.exact = exact
            self.decimal = decimal
        }
    }

    /// One site that serves the service.
    package struct Candidate: Codable, Equatable, Sendable {
        package var site: SiteName
        package var state: ServiceSnapshot.State
        /// Why it is not used, or not first.
        package var reason: String?
        /// Until when it is left alone, in milliseconds from now.
        package var retryMilliseconds: Int64?
        package var tier: Int
        /// Of the cheapest path; nil while there is none.
        package var pathCost: PathCost?
        /// What a pick goes by, in place of the path's cost where the Service says so; nil: it takes no connection.
        package var cost: PathCost?
        package var endpoints: UInt32
        package var weight: UInt32?
        /// The part of its weight that counts while it has just returned, in thousandths.
        package var weightThousandths: UInt32?
        /// Connections of this proxy, and of the other proxies of its site.
        @Counted package var own: UInt64
        @Counted package var others: UInt64
        /// Connections of other sites, where they count; nil as from older proxies: none are known.
        package var elsewhere: UInt64? {
            get { otherSites?.wrappedValue }
            set { otherSites = newValue.map(Counted.init) }
        }
        private var otherSites: Counted?
        package var perceived: Perceived?
        /// The proxies after this one, for each path that is used; an empty one is this proxy itself.
        package var routes: [[Hop]]

        package init(site: SiteName, state: ServiceSnapshot.State, tier: Int, endpoints: UInt32) {
            self.site = site
            self.state = state
            self.tier = tier
            self.endpoints = endpoints
            own = 0
            others = 0
            routes = []
        }
    }

    package struct Hop: Codable, Equatable, Sendable {
        package var proxy: ProxyID
        package var site: SiteName

        package init(proxy: ProxyID, site: SiteName) {
            self.proxy = proxy
            self.site = site
        }
    }

    /// One pick, with what it saw.
    package struct Decision: Codable, Equatable, Sendable {
        @Counted package var number: UInt64
        @WallTime package var time: Timestamp
        package var site: SiteName
        package var seen: [Seen]

        package init(number: UInt64, time: Timestamp, site: SiteName, seen: [Seen]) {
            self.time = time
            self.site = site
            self.seen = seen
            self.number = number
        }

        package struct Seen: Codable, Equatable, Sendable {
            package var site: SiteName
            package var tier: Int
            /// False for those that drained or had failed.
            package var isPreferred: Bool
            package var cost: PathCost
            @Counted package var open: UInt64
            package var perceived: Perceived

            package init(
                site: SiteName,
                tier: Int,
                isPreferred: Bool,
                cost: PathCost,
                open: UInt64,
                perceived: Perceived
            ) {
                self.site = site
                self.tier = tier
                self.isPreferred = isPreferred
                self.cost = cost
                self.perceived = perceived
                self.open = open
            }
        }
    }

    /// One server of this site.
    package struct Server: Codable, Equatable, Sendable {
        package var endpoint: String
        /// `Ready`, `Terminating`, `Absent` (only open connections are left), or why it is left out.
        package var state: String
        @Counted package var connections: UInt64

        package init(endpoint: String, state: String, connections: UInt64) {
            self.endpoint = endpoint
            self.state = state
            self.connections = connections
        }
    }
}
