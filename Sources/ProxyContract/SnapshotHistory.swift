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
        update.snapshot.services = services.newer(than: base, of: current.services, by: \.service)
        update.snapshot.counters = counters.newer(than: base, of: current.counters, by: \.service)
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

    /// Those of `elements`, the list as it is now, that came or changed since; only they are looked for.
    func newer<Element>(
        than base: UInt64,
        of elements: [Element],
        by key: (Element) -> ServicePort
    ) -> [Element] {
        let keys = changed.filter { $0.value > base }.keys.sorted()
        return keys.compactMap { name in
            let index = elements.firstIndex(of: name, by: key)
            return index < elements.endIndex && key(elements[index]) == name
                ? elements[index] : nil
        }
    }

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
        // Mostly one of thousands differs, or none: what is alike before and behind it takes one comparison each.
        var (start, end) = (0, (old: old.count, new: new.count))
        while start < min(end.old, end.new), old[start] == new[start] { start += 1 }
        while min(end.old, end.new) > start, old[end.old - 1] == new[end.new - 1] {
            end = (end.old - 1, end.new - 1)
        }
        var next = start
        for element in new[start..<end.new] {
            let name = key(element)
            while next < end.old, key(old[next]) < name {
                gone.append(key(old[next]))
                next += 1
            }
            if next < end.old, key(old[next]) == name {
                if old[next] != element { changed.append(name) }
                next += 1
            } else {
                changed.append(name)
            }
        }
        gone += old[next..<end.old].map(key)
    }
}

extension Array {
    /// Where the first element is whose key is not before `name`; the elements are in the order of their keys.
    package func firstIndex(of name: ServicePort, by key: (Element) -> ServicePort) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if key(self[middle]) < name { low = middle + 1 } else { high = middle }
        }
        return low
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
