import NetworkModel
import Wire

/// Open connections per service port and target site.
typealias CountsTable = [ServicePort: [SiteID: UInt64]]

/// What the site's other proxies have open, by who counts it and who says so.
///
/// An origin (a gateway or a sidecar) may be reported by several gateways; it counts once: in its own words when it is a
/// neighbor, else in those of the smallest reporter. What a reporter said goes with its adjacency, or when it begins anew.
/// The sums over all origins are kept up to date by differences, so that asking costs nothing. Pure.
struct CountsLedger {
    private struct Report {
        var version: UInt64
        var table: CountsTable
        var pairs: Int

        /// False when a limit leaves the entry out.
        mutating func take(_ entry: Counts.Entry, isKnown: (ServicePort) -> Bool) -> Bool {
            let isNew = table[entry.service]?[entry.target] == nil
            guard entry.open > 0 else {
                if isNew { return true }
                pairs -= 1
                table[entry.service]?[entry.target] = nil
                if table[entry.service]?.isEmpty == true { table[entry.service] = nil }
                return true
            }
            if isNew {
                guard pairs < CountsLedger.pairLimit else { return false }
                if table[entry.service] == nil, table.count >= CountsLedger.unknownLimit {
                    guard isKnown(entry.service) else { return false }
                }
                pairs += 1
            }
            table[entry.service, default: [:]][entry.target] = entry.open
            return true
        }
    }

    private var reports: [ProxyID: [ProxyID: Report]] = [:]
    /// Per reporter: reports that went had lower versions; a frame of one of them that comes late revives nothing.
    private var floors: [ProxyID: UInt64] = [:]
    private var sums: CountsTable = [:]
    /// What was left out because of a limit, since the last `takeRefusals`.
    private var refusals = 0

    /// A site has fewer proxies; more origins are left out.
    static let originLimit = 4_096
    /// Pairs of service port and target per report; more are left out.
    static let pairLimit = 16_384
    /// Service ports per report that this proxy does not know: two gateways learn of a service at different times.
    static let unknownLimit = 256

    /// Takes a frame of `reporter`; gives the service ports whose sums may have changed.
    ///
    /// Of service ports that are not `isKnown` only `unknownLimit` are taken.
    mutating func apply(
        _ counts: Counts,
        from reporter: ProxyID,
        isKnown: (ServicePort) -> Bool = { _ in true }
    ) -> Set<ServicePort> {
        var changed: Set<ServicePort> = []
        if counts.extent == .anew, counts.version > floors[reporter] ?? 0 {
            changed = forget(reporter, before: counts.version)
        }
        let old = reports[counts.origin]?[reporter]
        guard counts.version > old?.version ?? floors[reporter] ?? 0 else { return changed }
        guard reports[counts.origin] != nil || reports.count < Self.originLimit else {
            refusals += 1
            return changed
        }
        var report = Report(
            version: counts.version,
            table: counts.extent == .changes ? old?.table ?? [:] : [:],
            pairs: counts.extent == .changes ? old?.pairs ?? 0 : 0
        )
        for entry in counts.entries where !report.take(entry, isKnown: isKnown) { refusals += 1 }
        // Hearsay of an origin that has nothing open is forgotten: it may have gone.
        let isOver = report.table.isEmpty && counts.origin != reporter
        if isOver { raiseFloor(reporter, to: counts.version) }
        let touched = counts.extent == .changes ? Set(counts.entries.map(\.service)) : nil
        return changed.union(
            exchange(counts.origin, touching: touched) { $0[reporter] = isOver ? nil : report }
        )
    }

    /// The adjacency to `reporter` has ended.
    mutating func drop(_ reporter: ProxyID) -> Set<ServicePort> {
        defer { floors[reporter] = nil }
        return forget(reporter, before: .max)
    }

    /// Everything that `reporter` said in frames below `version`.
    private mutating func forget(_ reporter: ProxyID, before version: UInt64) -> Set<ServicePort> {
        var changed: Set<ServicePort> = []
        for (origin, said) in reports where said[reporter].map({ $0.version < version }) == true {
            changed.formUnion(exchange(origin) { $0[reporter] = nil })
        }
        raiseFloor(reporter, to: version - 1)
        return changed
    }

    private mutating func raiseFloor(_ reporter: ProxyID, to version: UInt64) {
        floors[reporter] = max(floors[reporter] ?? 0, version)
    }

    /// Changes what is said of an origin and the sums with it; gives the service ports of which they changed.
    ///
    /// At most those of `touched` (nil: all) differ in what one reporter says.
    private mutating func exchange(
        _ origin: ProxyID,
        touching touched: Set<ServicePort>? = nil,
        _ change: (inout [ProxyID: Report]) -> Void
    ) -> Set<ServicePort> {
        let (speaker, before) = (speaker(for: origin), table(of: origin))
        var said = reports[origin] ?? [:]
        change(&said)
        reports[origin] = said.isEmpty ? nil : said
        let after = table(of: origin)
        var candidates = touched
        if speaker != self.speaker(for: origin) { candidates = nil }
        var changed: Set<ServicePort> = []
        for service in candidates ?? Set(before.keys).union(after.keys)
        where before[service] != after[service] {
            changed.insert(service)
            var sum = sums[service] ?? [:]
            for (target, open) in before[service] ?? [:] { sum[target, default: 0] -= open }
            for (target, open) in after[service] ?? [:] { sum[target, default: 0] += open }
            sum = sum.filter { $0.value > 0 }
            sums[service] = sum.isEmpty ? nil : sum
        }
        return changed
    }

    /// What `origin` has open.
    func table(of origin: ProxyID) -> CountsTable {
        speaker(for: origin).flatMap { reports[origin]?[$0]?.table } ?? [:]
    }

    /// Whose words about `origin` count.
    private func speaker(for origin: ProxyID) -> ProxyID? {
        guard let said = reports[origin] else { return nil }
        return said[origin] == nil ? said.keys.min() : origin
    }

    /// All origins but `excluded`, added up.
    func sum(_ service: ServicePort, excluding excluded: ProxyID? = nil) -> [SiteID: UInt64] {
        let sum = sums[service] ?? [:]
        guard let excluded, let own = table(of: excluded)[service] else { return sum }
        return sum.merging(own) { $0 - $1 }.filter { $0.value > 0 }
    }

    /// Every service port that any origin has connections of.
    var services: Set<ServicePort> { Set(sums.keys) }

    /// Origins of which anything is known.
    var originCount: Int { reports.count }

    /// How many origins and counts were left out because of a limit, since the last call.
    mutating func takeRefusals() -> Int {
        defer { refusals = 0 }
        return refusals
    }
}
