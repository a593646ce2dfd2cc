import NetworkModel
import Wire

extension SidecarServer {
    /// What a sidecar has not been told yet.
    struct Difference: Hashable, Sendable {
        /// The sidecar knows nothing.
        var isEverything = false
        var services: Set<ServicePort> = []
        var names: Set<SiteID> = []
        var isOtherConfiguration = false

        var isEmpty: Bool {
            !isEverything && !isOtherConfiguration && services.isEmpty && names.isEmpty
        }

        /// Adds what is new, of services only those in `wants` (nil: all).
        mutating func add(_ other: Difference, within wants: Set<ServicePort>?) {
            guard !isEverything else { return }
            isOtherConfiguration = isOtherConfiguration || other.isOtherConfiguration
            names.formUnion(other.names)
            services.formUnion(wants.map(other.services.intersection) ?? other.services)
        }
    }

    /// What a table is made of: equal ones are equal tables.
    struct Told: Hashable, Sendable {
        var difference: Difference
        var wants: Set<ServicePort>?
        /// It reads policies: an earlier one would take them for the end of the lane, and goes by costs and endpoints.
        var knowsPolicies: Bool
        /// It reads the list of services whose first bytes travel with OPEN.
        var knowsEarly: Bool
    }

    /// What sidecars are told of one service port.
    struct ToldService: Hashable, Sendable {
        var service: SidecarService
        /// Nil: the standard one.
        var policy: SidecarPolicy?
        /// Its clients' first bytes travel with OPEN.
        var isEarly = false
    }

    /// All that sidecars are told at one moment.
    struct Content: Sendable {
        var services: [ServicePort: ToldService] = [:]
        var names: [SiteID: String] = [:]
        /// The generation of the configuration that it reflects.
        var configuration: UInt64 = 0

        func table(_ told: Told, generation: UInt64) -> SidecarTable {
            let all = told.difference.isEverything
            let keys = all ? told.wants ?? Set(services.keys) : told.difference.services
            let chosen = keys.compactMap { services[$0] }
                .sorted { $0.service.service < $1.service.service }
            let sites = all ? Set(names.keys) : told.difference.names
            return SidecarTable(
                generation: generation,
                replacesAll: all,
                services: chosen.map(\.service),
                removed: all ? [] : keys.filter { services[$0] == nil }.sorted(),
                names: sites.sorted().map { SidecarSiteName(site: $0, name: names[$0] ?? "") },
                policies: told.knowsPolicies ? chosen.compactMap(\.policy) : [],
                early: told.knowsEarly ? chosen.filter(\.isEarly).map(\.service.service) : []
            )
        }
    }

    /// What a sidecar reported since it attached.
    struct Reported: Sendable {
        private(set) var counters: [ServicePort: SidecarReport.Counter] = [:]
        /// The newest, at most `recordLimit`.
        private(set) var failovers: [FailoverRecord] = []

        static let recordLimit = 256
        /// Service ports that this gateway does not know: two gateways learn of a service at different times.
        static let unknownLimit = 256

        /// Counters of service ports that are not `isKnown` are taken while there are fewer than `unknownLimit` in all.
        mutating func take(_ report: SidecarReport, isKnown: (ServicePort) -> Bool) {
            for counter in report.counters {
                let key = counter.service
                guard counters[key] != nil || counters.count < Self.unknownLimit || isKnown(key)
                else { continue }
                counters[key] = counter
            }
            let last = failovers.last?.sequence ?? 0
            failovers += report.failovers.filter { $0.sequence > last }
                .sorted { $0.sequence < $1.sequence }
            failovers = failovers.suffix(Self.recordLimit)
        }
    }
}

extension SidecarTarget {
    /// A gateway's target as a sidecar may use it: routes that leave room for the gateway itself, not too many of them.
    ///
    /// A target that no such route leads to is out of the sidecar's reach.
    init(_ target: Target, within routes: [[ProxyID]]) {
        let fitting = routes.filter { $0.count < WireLimit.route }
        var target = target
        if target.reach.offer != nil, fitting.isEmpty, !routes.isEmpty {
            target.reach = .absent(.linkLost)
        }
        self.init(target, routes: Array(fitting.prefix(WireLimit.routesPerTarget)))
    }
}
