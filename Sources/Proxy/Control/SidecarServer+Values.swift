import Balancing
import NetworkModel
import Wire

extension SidecarServer {
    /// What a sidecar has not been told yet.
    struct Difference: Hashable {
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
    struct Told: Hashable {
        var difference: Difference
        var wants: Set<ServicePort>?
    }

    /// All that sidecars are told at one moment.
    struct Content {
        var services: [ServicePort: SidecarService] = [:]
        var names: [SiteID: String] = [:]
        /// The generation of the configuration that it reflects.
        var configuration: UInt64 = 0

        func table(_ told: Told, generation: UInt64) -> SidecarTable {
            let all = told.difference.isEverything
            let keys = all ? told.wants ?? Set(services.keys) : told.difference.services
            let sites = all ? Set(names.keys) : told.difference.names
            return SidecarTable(
                generation: generation,
                replacesAll: all,
                services: keys.compactMap { services[$0] }.sorted { $0.service < $1.service },
                removed: all ? [] : keys.filter { services[$0] == nil }.sorted(),
                names: sites.sorted().map { SidecarSiteName(site: $0, name: names[$0] ?? "") }
            )
        }
    }

    /// What a sidecar reported since it attached.
    struct Reported {
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

/// A table on its way to a sidecar: only so many frames at a time, as a lane's queue of control frames is bounded.
struct TableTransfer {
    /// Frames that were sent and not acknowledged: about a quarter of what a lane queues.
    static let window: UInt32 = 32
    /// Frames of one table; the rest of a longer one is left out.
    static let frameLimit = 1_024

    let generation: UInt64
    let frameCount: UInt32
    /// Those that have not been sent, encoded, the last one first.
    private var waiting: [[UInt8]]

    /// Gives the number of frames that were left out, too.
    static func make(of table: SidecarTable) -> (transfer: TableTransfer, leftOut: Int) {
        let frames = table.fragments()
        var kept = Array(frames.prefix(frameLimit))
        kept[kept.count - 1].isLast = true
        let transfer = TableTransfer(
            generation: table.generation,
            frameCount: UInt32(kept.count),
            waiting: kept.reversed().map(\.encoded)
        )
        return (transfer, frames.count - kept.count)
    }

    var isSent: Bool { waiting.isEmpty }

    /// What to send when so many frames have been acknowledged.
    mutating func next(acknowledged: UInt32) -> [[UInt8]] {
        let sent = frameCount - UInt32(waiting.count)
        let unanswered = sent - min(acknowledged, sent)
        var frames: [[UInt8]] = []
        while frames.count + Int(unanswered) < Int(Self.window), let frame = waiting.popLast() {
            frames.append(frame)
        }
        return frames
    }
}

extension SidecarTarget {
    /// A gateway's target as a sidecar may use it: routes that leave room for the gateway itself, not too many of them.
    ///
    /// A target that no such route leads to is out of the sidecar's reach.
    init(_ target: Target, routes: [[ProxyID]]) {
        let fitting = routes.filter { $0.count < WireLimit.route }
        let isTooFar = target.absence == nil && fitting.isEmpty && !routes.isEmpty
        self.init(
            site: target.site,
            cost: isTooFar ? .unreachable : target.cost,
            weight: isTooFar ? 0 : target.weight,
            isLastResort: target.isLastResort,
            absence: isTooFar ? .linkLost : target.absence,
            routes: Array(fitting.prefix(WireLimit.routesPerTarget))
        )
    }
}
