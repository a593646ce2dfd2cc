import NetworkModel
import Wire

/// Keeps the site's proxies informed of each other's open connections.
///
/// A gateway tells its siblings its own counts and those of each edge that is attached to it, and tells each edge the sum
/// of all others. An edge tells every gateway its own counts, and believes the sums of one of them. Changes leave at once
/// after quiet, then at most every 50 ms. Confined to loop 0.
final class CountsExchange {
    private struct Neighbor {
        /// By origin: what it was told.
        var outboxes: [ProxyID: CountsOutbox] = [:]
        /// Frames may have been lost: everything is told again.
        var needsAll = true
    }

    private unowned let control: ControlPlane
    private var ledger = CountsLedger()
    private var neighbors: [ProxyID: Neighbor] = [:]
    private var own: CountsTable = [:]
    private var version: UInt64 = 0
    private var dirty: Set<ServicePort> = []
    private var isScheduled = false
    private var lastSent = Instant(nanoseconds: 0)
    private static let interval: Duration = .milliseconds(50)

    init(control: ControlPlane) { self.control = control }

    // MARK: Changes

    /// This proxy's own counts of these services changed.
    func ownChanged(_ services: [ServicePort: [SiteID: UInt64]]) {
        for (service, counts) in services { own[service] = counts.isEmpty ? nil : counts }
        touch(Set(services.keys))
    }

    func received(_ counts: Counts, from neighbor: ProxyID) {
        guard isCredible(counts, from: neighbor) else { return }
        let changed = ledger.apply(counts, from: neighbor)
        applyOthers(changed)
        if !control.core.isEdge { touch(changed) }
    }

    /// An edge speaks for itself only, and the ProxyIDs of a site stay within it.
    private func isCredible(_ counts: Counts, from neighbor: ProxyID) -> Bool {
        guard counts.origin.site == control.core.id.site, counts.origin != control.core.id
        else { return false }
        switch control.adjacencies[neighbor]?.kind {
        case .edge, .home: return counts.origin == neighbor
        case .sibling: return true
        case .remote, nil: return false
        }
    }

    func neighborUp(_ neighbor: ProxyID) {
        neighbors[neighbor] = Neighbor()
        touch([])
        if control.core.isEdge { applyOthers(ledger.services) }
    }

    /// Control frames to this neighbor may have been lost.
    func disturbed(_ neighbor: ProxyID) {
        neighbors[neighbor]?.needsAll = true
        touch([])
    }

    func neighborDown(_ neighbor: ProxyID) {
        neighbors[neighbor] = nil
        let before = ledger.services
        let changed = ledger.drop(neighbor)
        applyOthers(control.core.isEdge ? before : changed)
        if !control.core.isEdge { touch(changed) }
    }

    private func applyOthers(_ services: Set<ServicePort>) {
        for service in services { applyOthers(service) }
    }

    /// Tells one balancer what the site's other proxies have open.
    func applyOthers(_ service: ServicePort) {
        let counts: [SiteID: UInt64]
        if control.core.isEdge {
            // Sums of several gateways overlap: one of them is believed.
            counts = control.homes.first.map { ledger.table(of: $0)[service] ?? [:] } ?? [:]
        } else {
            counts = ledger.sum(service)
        }
        control.sharedServices[service]?.setOthers(counts)
        control.snapshotChanged()
    }

    // MARK: Sending

    private func touch(_ services: Set<ServicePort>) {
        dirty.formUnion(services)
        guard !isScheduled, !neighbors.isEmpty else { return }
        isScheduled = true
        let earliest = lastSent + Self.interval
        control.loop.schedule(at: earliest) { [weak self] _ in self?.flush() }
    }

    private func flush() {
        isScheduled = false
        lastSent = EventLoop.clock()
        let changed = dirty
        dirty = []
        let edges = control.adjacencies.neighbors(.edge)
        for neighbor in neighbors.keys.sorted() {
            guard let kind = control.adjacencies[neighbor]?.kind else { continue }
            if neighbors[neighbor]?.needsAll == true {
                neighbors[neighbor]?.outboxes = [:]
                neighbors[neighbor]?.needsAll = false
            }
            switch kind {
            case .home: tell(neighbor, control.core.id, changed, { self.own[$0] }, { self.own })
            case .sibling:
                tell(neighbor, control.core.id, changed, { self.own[$0] }, { self.own })
                for edge in edges {
                    let table = ledger.table(of: edge)
                    tell(neighbor, edge, changed, { table[$0] }, { table })
                }
                retract(from: neighbor, attached: edges)
            case .edge:
                tell(
                    neighbor,
                    control.core.id,
                    changed,
                    { self.sum($0, without: neighbor) },
                    { self.sums(without: neighbor) }
                )
            case .remote: break
            }
        }
    }

    /// Edges that have left: their connections are gone, as far as this gateway knows.
    private func retract(from neighbor: ProxyID, attached: [ProxyID]) {
        for origin in neighbors[neighbor]?.outboxes.keys.sorted() ?? []
        where origin != control.core.id && !attached.contains(origin) {
            neighbors[neighbor]?.outboxes[origin] = nil
            version += 1
            let counts = Counts(origin: origin, version: version, isFull: true, entries: [])
            send(counts, to: neighbor)
        }
    }

    private func tell(
        _ neighbor: ProxyID,
        _ origin: ProxyID,
        _ changed: Set<ServicePort>,
        _ current: (ServicePort) -> [SiteID: UInt64]?,
        _ all: () -> CountsTable
    ) {
        let isKnown = neighbors[neighbor]?.outboxes[origin] != nil
        let frame = neighbors[neighbor]?.outboxes[origin, default: CountsOutbox()]
            .frame(
                origin: origin,
                version: version + 1,
                services: isKnown ? changed : nil,
                current,
                all: all
            )
        guard let counts = frame ?? nil else { return }
        version += 1
        send(counts, to: neighbor)
    }

    /// One full frame and changes with higher versions, when the list is long.
    private func send(_ counts: Counts, to neighbor: ProxyID) {
        var counts = counts
        var next = 0
        repeat {
            var writer = FrameWriter()
            next = counts.encode(into: &writer, from: next)
            control.send(.counts, writer.bytes, to: neighbor)
            if next < counts.entries.count {
                version += 1
                counts.version = version
                counts.isFull = false
            }
        } while next < counts.entries.count
    }

    private func sum(_ service: ServicePort, without edge: ProxyID) -> [SiteID: UInt64] {
        ledger.sum(service, excluding: edge).merging(own[service] ?? [:]) { $0 + $1 }
    }

    private func sums(without edge: ProxyID) -> CountsTable {
        var table: CountsTable = [:]
        for service in ledger.services.union(own.keys) {
            let sum = sum(service, without: edge)
            if !sum.isEmpty { table[service] = sum }
        }
        return table
    }

    /// Connections of all the site's proxies, this one included.
    func total(_ service: ServicePort) -> [SiteID: UInt64] {
        ledger.sum(service).merging(own[service] ?? [:]) { $0 + $1 }
    }
}
