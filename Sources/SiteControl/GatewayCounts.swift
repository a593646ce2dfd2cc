import NetworkModel
import Wire

/// A gateway's part in keeping the site's proxies informed of each other's open connections.
///
/// It tells its siblings its own counts and those of each sidecar that is attached to it, and tells each sidecar the sum
/// of all others, and of other sites where they count. Pure.
struct GatewayCounts: Sendable {
    private let id: ProxyID
    private var ledger = CountsLedger()
    private var teller = CountsTeller()
    private var own: CountsTable = [:]
    /// Connections to the servers of each site, as last reported, where they count.
    private var reported: CountsTable = [:]
    /// Those of them that are not this site's.
    private var elsewhere: CountsTable = [:]
    /// What changed of sidecars, or (without service ports) that they have left.
    private var dirtySidecars: [ProxyID: Set<ServicePort>] = [:]
    private var refusalsSaid = Instant(nanoseconds: 0)

    init(own id: ProxyID) { self.id = id }

    var nextDeadline: Instant? { teller.nextDeadline }

    /// What the site's other proxies have open.
    func others(_ service: ServicePort) -> [SiteID: UInt64] {
        ledger.sum(service).mapValues { min($0, .counterLimit) }
    }

    /// What the clients of other sites have open.
    func elsewhere(_ service: ServicePort) -> [SiteID: UInt64] { elsewhere[service] ?? [:] }

    /// Takes what is reported of a service; true when other sites have other counts by it.
    ///
    /// Of a report this site's own connections are taken off as they are when it comes, and not again until the next: what is
    /// opened here since counts once.
    mutating func setReported(
        _ service: ServicePort,
        _ loads: [SiteID: UInt64],
        at now: Instant
    ) -> Bool {
        let before = reported.updateValue(loads, forKey: service) ?? [:]
        if loads.isEmpty { reported[service] = nil }
        guard loads != before else { return false }
        var counts = elsewhere[service] ?? [:]
        let ours = ledger.sum(service).merging(own[service] ?? [:]) { $0 + $1 }
        for site in Set(loads.keys).union(before.keys) where loads[site] != before[site] {
            let (all, known) = (loads[site] ?? 0, ours[site] ?? 0)
            counts[site] = all > known ? all - known : nil
        }
        guard counts != elsewhere[service] ?? [:] else { return false }
        elsewhere[service] = counts.isEmpty ? nil : counts
        teller.touch([service], at: now)
        return true
    }

    /// This proxy's own counts of a service.
    mutating func setOwn(_ service: ServicePort, _ counts: [SiteID: UInt64], at now: Instant) {
        guard own[service] ?? [:] != counts else { return }
        own[service] = counts.isEmpty ? nil : counts
        teller.touch([service], at: now)
    }

    /// Takes a neighbor's frame; gives the services of which others have other counts now.
    mutating func received(
        _ counts: Counts,
        from neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind,
        isKnown: (ServicePort) -> Bool,
        _ turn: inout Turn
    ) -> Set<ServicePort> {
        guard isCredible(counts, from: neighbor, kind) else { return [] }
        let isSidecar = kind == .sidecar
        let changed = ledger.apply(counts, from: neighbor) { !isSidecar || isKnown($0) }
        sayRefusals(of: neighbor, &turn)
        if isSidecar { dirtySidecars[neighbor, default: []].formUnion(changed) }
        teller.touch(changed, at: turn.now)
        return changed
    }

    /// A sidecar speaks for itself only, and the ProxyIDs of a site stay within it.
    private func isCredible(
        _ counts: Counts,
        from neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind
    ) -> Bool {
        guard counts.origin.site == id.site, counts.origin != id else { return false }
        switch kind {
        case .sidecar: return counts.origin == neighbor
        case .sibling: return true
        case .remote, .home: return false
        }
    }

    /// At most once a minute.
    private mutating func sayRefusals(of neighbor: ProxyID, _ turn: inout Turn) {
        let refusals = ledger.takeRefusals()
        guard refusals > 0, turn.now >= refusalsSaid else { return }
        refusalsSaid = turn.now + .seconds(60)
        turn.log(ledger.explain(refusals, of: neighbor))
    }

    mutating func neighborUp(_ neighbor: ProxyID, at now: Instant) {
        teller.neighborUp(neighbor, at: now)
    }

    /// Control frames to this neighbor may have been lost.
    mutating func disturbed(_ neighbor: ProxyID, at now: Instant) {
        teller.disturbed(neighbor, at: now)
    }

    /// Gives the services of which others have other counts now.
    mutating func neighborDown(_ neighbor: ProxyID, at now: Instant) -> Set<ServicePort> {
        teller.neighborDown(neighbor)
        let changed = ledger.drop(neighbor)
        dirtySidecars[neighbor, default: []].formUnion(changed)
        teller.touch(changed, at: now)
        return changed
    }

    // MARK: Sending

    /// Tells the neighbors what has changed, if it is time.
    mutating func handleDeadline(_ lanes: AdjacencyTable, _ turn: inout Turn) {
        let (tellings, changed) = teller.take(at: turn.now)
        guard !tellings.isEmpty else { return }
        let sidecars = dirtySidecars
        dirtySidecars = [:]
        for telling in tellings {
            switch lanes[telling.neighbor]?.kind {
            case .sibling:
                teller.tell(
                    telling.neighbor,
                    of: id,
                    changed,
                    isAnew: telling.isAnew,
                    .table(own),
                    over: lanes,
                    &turn
                )
                tellSidecars(telling, sidecars, over: lanes, &turn)
            case .sidecar: tellSums(telling, changed, over: lanes, &turn)
            case .remote, .home, nil: break
            }
        }
    }

    /// What sidecars count; of those that have left, that their connections are gone, as far as this gateway knows.
    private mutating func tellSidecars(
        _ telling: CountsTeller.Telling,
        _ changed: [ProxyID: Set<ServicePort>],
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        for sidecar in telling.isAnew ? lanes.neighbors(.sidecar) : changed.keys.sorted() {
            guard lanes[sidecar]?.kind == .sidecar else {
                teller.retract(sidecar, from: telling.neighbor, over: lanes, &turn)
                continue
            }
            teller.tell(
                telling.neighbor,
                of: sidecar,
                changed[sidecar] ?? [],
                .table(ledger.table(of: sidecar)),
                over: lanes,
                &turn
            )
        }
    }

    private mutating func tellSums(
        _ telling: CountsTeller.Telling,
        _ changed: Set<ServicePort>,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        let (ledger, own, elsewhere, sidecar) = (ledger, own, elsewhere, telling.neighbor)
        let sum = { (service: ServicePort) in
            ledger.sum(service, excluding: sidecar).merging(own[service] ?? [:]) { $0 + $1 }
                .merging(elsewhere[service] ?? [:]) { $0 + $1 }
                .mapValues { min($0, .counterLimit) }
        }
        let source = CountsTeller.Source(count: sum) {
            var table: CountsTable = [:]
            for service in ledger.services.union(own.keys).union(elsewhere.keys) {
                let sum = sum(service)
                if !sum.isEmpty { table[service] = sum }
            }
            return table
        }
        teller.tell(
            sidecar,
            of: id,
            changed,
            isAnew: telling.isAnew,
            source,
            over: lanes,
            &turn
        )
    }
}

extension CountsLedger {
    /// For the log: what was left out, and why.
    func explain(_ refusals: Int, of neighbor: ProxyID) -> String {
        "\(refusals) counts of \(neighbor) are left out, with \(originCount) proxies known: a limit of"
            + " \(Self.originLimit) proxies or \(Self.pairLimit) counts is reached"
    }
}
