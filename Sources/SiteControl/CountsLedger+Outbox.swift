import NetworkModel
import Wire

/// What one neighbor was told about one origin, so that only differences are sent.
struct CountsOutbox {
    private var told: CountsTable?

    /// The frame that brings the neighbor up to date, over `services` (nil: all); nil when it is.
    ///
    /// The first one begins `anew`, if that is asked for, and is then there even if nothing is open.
    mutating func frame(
        origin: ProxyID,
        version: UInt64,
        services: Set<ServicePort>?,
        anew: Bool = false,
        _ current: (ServicePort) -> [SiteID: UInt64]?,
        all: () -> CountsTable
    ) -> Counts? {
        guard !anew, let old = told, let services else {
            let table = all()
            let isNews = anew || told.map { $0 != table } ?? !table.isEmpty
            told = table
            guard isNews else { return nil }
            return Counts(
                origin: origin,
                version: version,
                extent: anew ? .anew : .origin,
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
        return Counts(origin: origin, version: version, extent: .changes, entries: entries)
    }

    private static func entries(_ table: CountsTable) -> [Counts.Entry] {
        table.sorted { $0.key < $1.key }.flatMap { service, targets in
            targets.sorted { $0.key < $1.key }.map { target, open in
                Counts.Entry(service: service, target: target, open: open)
            }
        }
    }
}
