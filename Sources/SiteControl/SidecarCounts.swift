import NetworkModel
import Wire

/// A sidecar's part in keeping the site's proxies informed of each other's open connections.
///
/// It tells every gateway its own counts, and believes the sums of one of them: those of several overlap. Pure.
struct SidecarCounts: Sendable {
    private let id: ProxyID
    private var ledger = CountsLedger()
    private var teller = CountsTeller()
    private var own: CountsTable = [:]
    private var refusalsSaid = Instant(nanoseconds: 0)
    /// The gateways, the first attached first: it is believed.
    private(set) var homes: [ProxyID] = []

    init(own id: ProxyID) { self.id = id }

    var nextDeadline: Instant? { teller.nextDeadline }

    /// What the site's other proxies have open.
    func others(_ service: ServicePort) -> [SiteID: UInt64] {
        let counts = homes.first.flatMap { ledger.table(of: $0)[service] } ?? [:]
        return counts.mapValues { min($0, .counterLimit) }
    }

    /// This proxy's own counts of a service.
    mutating func setOwn(_ service: ServicePort, _ counts: [SiteID: UInt64], at now: Instant) {
        guard own[service] ?? [:] != counts else { return }
        own[service] = counts.isEmpty ? nil : counts
        teller.touch([service], at: now)
    }

    /// Takes a gateway's frame; gives the services of which others have other counts now.
    mutating func received(
        _ counts: Counts,
        from gateway: ProxyID,
        _ turn: inout Turn
    ) -> Set<ServicePort> {
        guard counts.origin.site == id.site, counts.origin == gateway else { return [] }
        let changed = ledger.apply(counts, from: gateway)
        let refusals = ledger.takeRefusals()
        if refusals > 0, turn.now >= refusalsSaid {
            refusalsSaid = turn.now + .seconds(60)
            turn.log(ledger.explain(refusals, of: gateway))
        }
        return changed
    }

    /// Gives the services of which others may have other counts now.
    mutating func attached(_ gateway: ProxyID, at now: Instant) -> Set<ServicePort> {
        homes.append(gateway)
        teller.neighborUp(gateway, at: now)
        return ledger.services
    }

    /// Control frames to this gateway may have been lost.
    mutating func disturbed(_ gateway: ProxyID, at now: Instant) {
        teller.disturbed(gateway, at: now)
    }

    /// Gives the services of which others may have other counts now.
    mutating func detached(_ gateway: ProxyID) -> Set<ServicePort> {
        homes.removeAll { $0 == gateway }
        teller.neighborDown(gateway)
        let before = ledger.services
        _ = ledger.drop(gateway)
        return before
    }

    /// Tells the gateways what has changed, if it is time.
    mutating func handleDeadline(_ lanes: AdjacencyTable, _ turn: inout Turn) {
        let (tellings, changed) = teller.take(at: turn.now)
        for telling in tellings {
            teller.tell(
                telling.neighbor,
                of: id,
                changed,
                isAnew: telling.isAnew,
                .table(own),
                over: lanes,
                &turn
            )
        }
    }
}
