import NetworkModel

/// Lanes for bulk: who takes which.
extension StreamEngine {
    /// The lane of this loop for bulk to `neighbor` with the fewest streams; one more is asked for while none is empty.
    func bulkCarrier(to neighbor: ProxyID) -> StreamCarrier? {
        let lanes = (carriers[neighbor] ?? []).lazy.filter { !$0.isRetired }
        let best = lanes.filter(\.isBulk).min { $0.activeStreams < $1.activeStreams }
        if best?.activeStreams != 0 { lanes.first { !$0.isBulk }?.askForBulkLane() }
        return best
    }

    /// Whether a bulk stream on `carrier` would stand less in the way of others elsewhere.
    func hasBetterLaneForBulk(than carrier: StreamCarrier) -> Bool {
        guard !carrier.isBridge, carrier.activeStreams > 1,
            let best = bulkCarrier(to: carrier.neighbor)
        else { return false }
        return best !== carrier && (!carrier.isBulk || best.activeStreams == 0)
    }
}
