import NetworkModel

/// Lanes for bulk: who takes which.
extension StreamEngine {
    /// The lane of this loop for bulk to `neighbor` with the fewest streams; one more is asked for while none is
    /// empty and the neighbor is not near.
    ///
    /// `isNew`: for a stream that has not asked before.
    func bulkCarrier(to neighbor: ProxyID, isNew: Bool = false) -> StreamCarrier? {
        let lanes = (carriers[neighbor] ?? []).lazy.filter { !$0.isRetired }
        let best = lanes.filter(\.isBulk).min { $0.activeStreams < $1.activeStreams }
        guard best?.activeStreams != 0, let ordinary = lanes.first(where: { !$0.isBulk }),
            ordinary.conduit.leastRoundTrip ?? .zero >= bulkDistance
        else { return best }
        ordinary.askForBulkLane(isNew: isNew)
        return best
    }

    /// Whether a bulk stream would stand less in the way of others elsewhere; when not, it waits for the next lane.
    func hasBetterLaneForBulk(than end: StreamEnd) -> Bool {
        guard let carrier = end.carrier, !carrier.isBridge, carrier.activeStreams > 1
        else { return false }
        let best = bulkCarrier(to: carrier.neighbor, isNew: !end.waitsForBulk)
        let isBetter = best.map { $0 !== carrier && (!carrier.isBulk || $0.activeStreams == 0) }
        end.waitsForBulk = isBetter != true
        return isBetter == true
    }

    /// There is a lane more: a stream that waits for one takes it.
    func bulkLaneAdded(to neighbor: ProxyID) {
        guard let end = carriers[neighbor]?.lazy.compactMap(\.firstThatWaits).first else { return }
        end.waitsForBulk = false
        end.owner.provedBulky(at: end)
    }
}
