package import NetworkModel

/// The newest snapshot of a proxy, and which parts of it changed with which version.
///
/// Whoever has an earlier version gets what changed since; whoever has one that is not remembered gets all.
package struct SnapshotHistory: Sendable {
    package private(set) var current: ProxySnapshot
    private var services = Changes()
    private var counters = Changes()
    private var parts: [SnapshotUpdate.Part: UInt64] = [:]

    package init(proxy: ProxyID) { current = ProxySnapshot(proxy: proxy) }

    /// Takes a snapshot, whatever its version says; it becomes the newest one, with the next version, if anything in it differs.
    ///
    /// Its services and counters are in order. The work is a walk over them that compares; what is shared with the one before
    /// costs next to nothing.
    package mutating func take(_ snapshot: ProxySnapshot) -> Bool {
        var next = snapshot
        next.version = current.version + 1
        var isChanged = services.take(current.services, next.services, next.version, by: \.service)
        isChanged =
            counters.take(current.counters, next.counters, next.version, by: \.service) || isChanged
        for part in SnapshotUpdate.Part.allCases where !current.hasSame(part, as: next) {
            parts[part] = next.version
            isChanged = true
        }
        guard isChanged || !current.hasSameHead(as: next) else { return false }
        current = next
        return true
    }

    /// What a reader of the version `base` of the instance `proxy` lacks.
    package func update(since base: UInt64, of proxy: ProxyID) -> SnapshotUpdate {
        var update = SnapshotUpdate(current)
        guard proxy == current.proxy, base <= current.version, base >= services.floor,
            base >= counters.floor, base > 0
        else { return update }
        update.base = base
        update.snapshot.services.removeAll { !services.isNewer($0.service, than: base) }
        update.snapshot.counters.removeAll { !counters.isNewer($0.service, than: base) }
        update.removedServices = services.removed(since: base)
        update.removedCounters = counters.removed(since: base)
        for part in SnapshotUpdate.Part.allCases where parts[part] ?? 0 <= base {
            update.unchanged.append(part)
            update.snapshot.clear(part)
        }
        return update
    }
}

/// With which version each of a list's elements came, changed or went.
private struct Changes: Sendable {
    private var changed: [ServicePort: UInt64] = [:]
    private var gone: [ServicePort: UInt64] = [:]
    /// Versions below this one are not remembered: too much has gone since.
    private(set) var floor: UInt64 = 0
    private static let rememberedGone = 8192

    func isNewer(_ key: ServicePort, than base: UInt64) -> Bool { changed[key] ?? 0 > base }

    func removed(since base: UInt64) -> [ServicePort] {
        gone.filter { $0.value > base }.keys.sorted()
    }

    /// True when the two lists, both in order, differ.
    mutating func take<Element: Equatable>(
        _ old: [Element],
        _ new: [Element],
        _ version: UInt64,
        by key: (Element) -> ServicePort
    ) -> Bool {
        let difference = ListDifference(old, new, by: key)
        for name in difference.changed {
            changed[name] = version
            gone[name] = nil
        }
        for name in difference.gone {
            changed[name] = nil
            gone[name] = version
        }
        if gone.count > Self.rememberedGone {
            gone = [:]
            floor = version
        }
        return !difference.isEmpty
    }
}

/// What two lists differ in, both in the order of their keys.
package struct ListDifference: Equatable, Sendable {
    /// Those that are new, or others than before.
    package private(set) var changed: [ServicePort] = []
    package private(set) var gone: [ServicePort] = []

    package var isEmpty: Bool { changed.isEmpty && gone.isEmpty }

    package init<Element: Equatable>(
        _ old: [Element],
        _ new: [Element],
        by key: (Element) -> ServicePort
    ) {
        var rest = old[...]
        for element in new {
            let name = key(element)
            while let first = rest.first, key(first) < name {
                gone.append(key(first))
                rest.removeFirst()
            }
            if let first = rest.first, key(first) == name {
                if first != element { changed.append(name) }
                rest.removeFirst()
            } else {
                changed.append(name)
            }
        }
        gone += rest.map(key)
    }
}

extension ProxySnapshot {
    fileprivate func hasSame(_ part: SnapshotUpdate.Part, as other: Self) -> Bool {
        switch part {
        case .links: links == other.links
        case .failovers: failovers == other.failovers
        case .sidecars: sidecars == other.sidecars
        }
    }

    fileprivate mutating func clear(_ part: SnapshotUpdate.Part) {
        switch part {
        case .links: links = []
        case .failovers: failovers = []
        case .sidecars: sidecars = []
        }
    }

    /// All but the version, the lists of services and counters, and the parts.
    fileprivate func hasSameHead(as other: Self) -> Bool {
        var (left, right) = (self, other)
        left.makeHead()
        right.makeHead()
        return left == right
    }

    private mutating func makeHead() {
        version = 0
        services = []
        counters = []
        for part in SnapshotUpdate.Part.allCases { clear(part) }
    }
}
