import NetworkModel
import Wire

/// Open connections per service port and target site.
typealias CountsTable = [ServicePort: [SiteID: UInt64]]

/// What the site's other proxies have open, by who counts it and who says so.
///
/// An origin (a gateway or an edge) may be reported by several gateways; it counts once: in its own words when it is a
/// neighbor, else in those of the smallest reporter. What a reporter said goes with its adjacency. Pure.
struct CountsLedger {
    private struct Report {
        var version: UInt64
        var table: CountsTable
    }

    private var reports: [ProxyID: [ProxyID: Report]] = [:]
    /// A site has few proxies; more origins than this are ignored.
    static let originLimit = 4_096

    /// Takes a frame of `reporter`; gives the service ports whose sums may have changed.
    mutating func apply(_ counts: Counts, from reporter: ProxyID) -> Set<ServicePort> {
        var report = reports[counts.origin]?[reporter]
        guard counts.version > report?.version ?? 0,
            reports[counts.origin] != nil || reports.count < Self.originLimit
        else { return [] }
        var changed: Set<ServicePort> = []
        var table = counts.isFull ? [:] : report?.table ?? [:]
        if counts.isFull { changed.formUnion((report?.table ?? [:]).keys) }
        for entry in counts.entries {
            changed.insert(entry.service)
            table[entry.service, default: [:]][entry.target] = entry.open > 0 ? entry.open : nil
            if table[entry.service]?.isEmpty == true { table[entry.service] = nil }
        }
        report = Report(version: counts.version, table: table)
        reports[counts.origin, default: [:]][reporter] = report
        return changed
    }

    /// The adjacency to `reporter` has ended.
    mutating func drop(_ reporter: ProxyID) -> Set<ServicePort> {
        var changed: Set<ServicePort> = []
        for origin in reports.keys {
            guard let report = reports[origin]?.removeValue(forKey: reporter) else { continue }
            changed.formUnion(report.table.keys)
            if reports[origin]?.isEmpty == true { reports[origin] = nil }
        }
        return changed
    }

    /// What `origin` has open.
    func table(of origin: ProxyID) -> CountsTable { effective(origin)?.table ?? [:] }

    private func effective(_ origin: ProxyID) -> Report? {
        guard let said = reports[origin] else { return nil }
        if let own = said[origin] { return own }
        return said.min { $0.key < $1.key }?.value
    }

    /// All origins but `excluded`, added up.
    func sum(_ service: ServicePort, excluding excluded: ProxyID? = nil) -> [SiteID: UInt64] {
        var sum: [SiteID: UInt64] = [:]
        for origin in reports.keys where origin != excluded {
            for (target, open) in effective(origin)?.table[service] ?? [:] {
                sum[target] = (sum[target] ?? 0).addingReportingOverflow(open).partialValue
            }
        }
        return sum
    }

    /// Every service port that any origin has connections of.
    var services: Set<ServicePort> {
        var services: Set<ServicePort> = []
        for origin in reports.keys { services.formUnion(effective(origin)?.table.keys ?? [:].keys) }
        return services
    }
}

/// What one neighbor was told about one origin, so that only differences are sent.
struct CountsOutbox {
    private var told: CountsTable?

    /// The frame that brings the neighbor up to date, over `services` (nil: all); nil when it is.
    mutating func frame(
        origin: ProxyID,
        version: UInt64,
        services: Set<ServicePort>?,
        _ current: (ServicePort) -> [SiteID: UInt64]?,
        all: () -> CountsTable
    ) -> Counts? {
        guard let old = told, let services else {
            let table = all()
            if told == nil, table.isEmpty {
                told = [:]
                return nil
            }
            guard told != table else { return nil }
            told = table
            return Counts(
                origin: origin,
                version: version,
                isFull: true,
                entries: Self.entries(table)
            )
        }
        var entries: [Counts.Entry] = []
        for service in services.sorted() {
            let (was, now) = (old[service] ?? [:], current(service) ?? [:])
            for target in Set(was.keys).union(now.keys).sorted()
            where was[target] ?? 0 != now[target] ?? 0 {
                entries.append(
                    Counts.Entry(service: service, target: target, open: now[target] ?? 0)
                )
            }
            told?[service] = now.isEmpty ? nil : now
        }
        guard !entries.isEmpty else { return nil }
        return Counts(origin: origin, version: version, isFull: false, entries: entries)
    }

    private static func entries(_ table: CountsTable) -> [Counts.Entry] {
        table.sorted { $0.key < $1.key }.flatMap { service, targets in
            targets.sorted { $0.key < $1.key }.map { target, open in
                Counts.Entry(service: service, target: target, open: open)
            }
        }
    }
}
