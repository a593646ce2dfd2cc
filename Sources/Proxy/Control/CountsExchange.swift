import NetworkModel
import SiteControl
import Wire

/// Keeps the site's proxies informed of each other's open connections.
///
/// A gateway tells its siblings its own counts and those of each sidecar that is attached to it, and tells each sidecar the sum
/// of all others. A sidecar tells every gateway its own counts, and believes the sums of one of them. Changes leave at once
/// after quiet, then at most every 50 ms. After frames may have been lost everything is told anew. Confined to loop 0.
final class CountsExchange {
    private struct Neighbor {
        /// By origin: what it was told.
        var outboxes: [ProxyID: CountsOutbox] = [:]
        /// Frames may have been lost: everything is told anew.
        var needsAll = true
    }

    private unowned let control: ControlPlane
    private var ledger = CountsLedger()
    private var neighbors: [ProxyID: Neighbor] = [:]
    private var own: CountsTable = [:]
    private var version: UInt64 = 0
    private var dirty: Set<ServicePort> = []
    /// What changed of sidecars, or (without service ports) that they have left.
    private var dirtySidecars: [ProxyID: Set<ServicePort>] = [:]
    private var refusalsSaid = Instant(nanoseconds: 0)
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
        let isSidecar = control.adjacencies[neighbor]?.kind == .sidecar
        let known = control.sharedServices
        let changed = ledger.apply(counts, from: neighbor) { !isSidecar || known[$0] != nil }
        sayRefusals(of: neighbor)
        applyOthers(changed)
        if isSidecar { dirtySidecars[neighbor, default: []].formUnion(changed) }
        if !control.core.isSidecar { touch(changed) }
    }

    /// At most once a minute.
    private func sayRefusals(of neighbor: ProxyID) {
        let refusals = ledger.takeRefusals()
        let now = control.loop.now
        guard refusals > 0, now >= refusalsSaid else { return }
        refusalsSaid = now + .seconds(60)
        control.log(
            "\(refusals) counts of \(neighbor) are left out, with \(ledger.originCount) proxies known: a limit of"
                + " \(CountsLedger.originLimit) proxies or \(CountsLedger.pairLimit) counts is reached"
        )
    }

    /// A sidecar speaks for itself only, and the ProxyIDs of a site stay within it.
    private func isCredible(_ counts: Counts, from neighbor: ProxyID) -> Bool {
        guard counts.origin.site == control.core.id.site, counts.origin != control.core.id
        else { return false }
        switch control.adjacencies[neighbor]?.kind {
        case .sidecar, .home: return counts.origin == neighbor
        case .sibling: return true
        case .remote, nil: return false
        }
    }

    func neighborUp(_ neighbor: ProxyID) {
        neighbors[neighbor] = Neighbor()
        touch([])
        if control.core.isSidecar { applyOthers(ledger.services) }
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
        applyOthers(control.core.isSidecar ? before : changed)
        dirtySidecars[neighbor, default: []].formUnion(changed)
        if !control.core.isSidecar { touch(changed) }
    }

    private func applyOthers(_ services: Set<ServicePort>) {
        for service in services { applyOthers(service) }
    }

    /// Tells one balancer what the site's other proxies have open.
    func applyOthers(_ service: ServicePort) {
        let counts: [SiteID: UInt64]
        if control.core.isSidecar {
            // Sums of several gateways overlap: one of them is believed.
            counts = control.homes.first.map { ledger.table(of: $0)[service] ?? [:] } ?? [:]
        } else {
            counts = ledger.sum(service)
        }
        control.sharedServices[service]?.setOthers(counts.mapValues { min($0, .counterLimit) })
        control.snapshotChanged([service])
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
        let changedSidecars = dirtySidecars
        dirtySidecars = [:]
        for neighbor in neighbors.keys.sorted() {
            guard let kind = control.adjacencies[neighbor]?.kind else { continue }
            let anew = neighbors[neighbor]?.needsAll == true
            if anew { neighbors[neighbor] = Neighbor(needsAll: false) }
            switch kind {
            case .home: tellOwn(neighbor, changed, anew: anew)
            case .sibling:
                tellOwn(neighbor, changed, anew: anew)
                tellSidecars(neighbor, changedSidecars, anew: anew)
            case .sidecar:
                tell(
                    neighbor,
                    control.core.id,
                    changed,
                    anew: anew,
                    { self.sum($0, without: neighbor) },
                    { self.sums(without: neighbor) }
                )
            case .remote: break
            }
        }
    }

    private func tellOwn(_ neighbor: ProxyID, _ changed: Set<ServicePort>, anew: Bool) {
        tell(neighbor, control.core.id, changed, anew: anew, { self.own[$0] }, { self.own })
    }

    /// What sidecars count; of those that have left, that their connections are gone, as far as this gateway knows.
    private func tellSidecars(
        _ neighbor: ProxyID,
        _ changed: [ProxyID: Set<ServicePort>],
        anew: Bool
    ) {
        for sidecar in anew ? control.adjacencies.neighbors(.sidecar) : changed.keys.sorted() {
            guard control.adjacencies[sidecar]?.kind == .sidecar else {
                retract(sidecar, from: neighbor)
                continue
            }
            let table = ledger.table(of: sidecar)
            tell(neighbor, sidecar, changed[sidecar] ?? [], { table[$0] }, { table })
        }
    }

    private func retract(_ sidecar: ProxyID, from neighbor: ProxyID) {
        guard neighbors[neighbor]?.outboxes.removeValue(forKey: sidecar) != nil else { return }
        let counts = Counts(origin: sidecar, version: version + 1, extent: .origin, entries: [])
        send(counts, to: neighbor)
    }

    private func tell(
        _ neighbor: ProxyID,
        _ origin: ProxyID,
        _ changed: Set<ServicePort>,
        anew: Bool = false,
        _ current: (ServicePort) -> [SiteID: UInt64]?,
        _ all: () -> CountsTable
    ) {
        let isKnown = neighbors[neighbor]?.outboxes[origin] != nil
        let frame = neighbors[neighbor]?.outboxes[origin, default: CountsOutbox()]
            .frame(
                origin: origin,
                version: version + 1,
                services: isKnown ? changed : nil,
                anew: anew,
                current,
                all: all
            )
        if let counts = frame ?? nil { send(counts, to: neighbor) }
    }

    private func send(_ counts: Counts, to neighbor: ProxyID) {
        for fragment in counts.fragments() {
            version = fragment.version
            control.send(.counts, fragment.encoded, to: neighbor)
        }
    }

    /// Connections of all the site's proxies but `sidecar`.
    private func sum(_ service: ServicePort, without sidecar: ProxyID) -> [SiteID: UInt64] {
        ledger.sum(service, excluding: sidecar).merging(own[service] ?? [:]) { $0 + $1 }
    }

    private func sums(without sidecar: ProxyID) -> CountsTable {
        var table: CountsTable = [:]
        for service in ledger.services.union(own.keys) {
            let sum = sum(service, without: sidecar)
            if !sum.isEmpty { table[service] = sum }
        }
        return table
    }
}
