package import NetworkModel

/// What `GET /v1/snapshot` answers a reader that already has a snapshot of this instance: what changed since.
///
/// Its JSON is that of a snapshot with a few fields more, so that whoever knows snapshots only reads it as one: it is sent to
/// nobody who did not ask for it by the argument `instance`.
package struct SnapshotUpdate: Equatable, Sendable {
    /// Parts of a snapshot that are sent whole or not at all.
    package enum Part: String, CaseIterable, Sendable { case links, failovers, sidecars }

    /// The version that this has to be applied to; nil when `snapshot` is whole.
    package var base: UInt64?
    /// The newest snapshot; as a difference, only with the services, counters and parts that changed.
    package var snapshot: ProxySnapshot
    /// What the snapshot has no more.
    package var removedServices: [ServicePort] = []
    package var removedCounters: [ServicePort] = []
    /// The parts that are as they were.
    package var unchanged: [Part] = []

    /// A whole snapshot.
    package init(_ snapshot: ProxySnapshot) { self.snapshot = snapshot }
}

extension SnapshotUpdate: Codable {
    private enum Key: String, CodingKey { case base, removedServices, removedCounters, unchanged }

    package init(from decoder: any Decoder) throws {
        snapshot = try ProxySnapshot(from: decoder)
        let container = try decoder.container(keyedBy: Key.self)
        base = try container.decodeIfPresent(UInt64.self, forKey: .base)
        removedServices =
            try container.decodeIfPresent([ServicePort].self, forKey: .removedServices) ?? []
        removedCounters =
            try container.decodeIfPresent([ServicePort].self, forKey: .removedCounters) ?? []
        // A part that this version does not know is none that it keeps.
        unchanged =
            try container.decodeIfPresent([String].self, forKey: .unchanged)?
            .compactMap(Part.init) ?? []
    }

    package func encode(to encoder: any Encoder) throws {
        try snapshot.encode(to: encoder)
        guard let base else { return }
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(base, forKey: .base)
        try container.encode(removedServices, forKey: .removedServices)
        try container.encode(removedCounters, forKey: .removedCounters)
        try container.encode(unchanged.map(\.rawValue), forKey: .unchanged)
    }
}

extension ProxySnapshot {
    /// This snapshot brought up to date; nil when `update` is not a difference to this one.
    package func applying(_ update: SnapshotUpdate) -> ProxySnapshot? {
        guard let base = update.base else { return update.snapshot.ordered }
        guard base == version, update.snapshot.proxy == proxy else { return nil }
        var next = update.snapshot
        next.services = services.merged(
            with: next.services,
            without: update.removedServices,
            by: \.service
        )
        next.counters = counters.merged(
            with: next.counters,
            without: update.removedCounters,
            by: \.service
        )
        for part in update.unchanged {
            switch part {
            case .links: next.links = links
            case .failovers: next.failovers = failovers
            case .sidecars: next.sidecars = sidecars
            }
        }
        return next
    }

    /// With services and counters in the order of their names, as every proxy sends them.
    package var ordered: ProxySnapshot {
        var ordered = self
        ordered.services.order(by: \.service)
        ordered.counters.order(by: \.service)
        for index in ordered.sidecars.indices {
            ordered.sidecars[index].counters.order(by: \.service)
        }
        return ordered
    }
}

extension Array {
    fileprivate mutating func order(by key: (Element) -> ServicePort) {
        let isOrdered = zip(self, dropFirst()).allSatisfy { key($0) <= key($1) }
        if !isOrdered { sort { key($0) < key($1) } }
    }

    /// These with `news` in place of those of the same key; all in order.
    fileprivate func merged(
        with news: [Element],
        without removed: [ServicePort],
        by key: (Element) -> ServicePort
    ) -> [Element] {
        guard !news.isEmpty || !removed.isEmpty else { return self }
        let gone = Set(removed)
        var result: [Element] = []
        result.reserveCapacity(count + news.count)
        var rest = news[...]
        for element in self {
            let name = key(element)
            while let next = rest.first, key(next) < name { result.append(rest.removeFirst()) }
            if let next = rest.first, key(next) == name {
                result.append(rest.removeFirst())
            } else if !gone.contains(name) {
                result.append(element)
            }
        }
        return result + rest
    }
}
