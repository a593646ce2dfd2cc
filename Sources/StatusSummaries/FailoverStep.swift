import KubernetesAPI
package import NetworkAPI
import NetworkModel
import ProxyContract

/// Counts failover records into a Service's status, one told failover at a time.
package enum FailoverStep {
    package struct Result: Equatable {
        package var status: ServiceStatus
        /// What has to become an Event after the status is written; nil when these records belong to one that was told.
        package var event: Failover?
        /// Whether records are left for a further step.
        package var hasMore: Bool
    }

    /// Takes records up to and including the first that is told as a new failover; nil when there is none to take.
    ///
    /// Written in one piece with its cursors, the result is never counted again. `ledger` remembers what later records
    /// may belong to; after a restart it starts from the status.
    package static func next(
        status: ServiceStatus,
        records: [ProxyFailover],
        ledger: inout FailoverLedger
    ) -> Result? {
        var cursors = CounterLedger(cursors: status.cursors)
        let pending = FailoverLedger.pending(records, after: cursors)
        guard !pending.isEmpty else { return nil }
        var result = Result(status: status, event: nil, hasMore: false)
        var taken = 0
        for entry in pending {
            taken += 1
            cursors.setFailovers(entry.record.sequence, of: entry.proxy)
            switch ledger.take(entry.record) {
            case .merged(let failover):
                if result.status.lastFailover?.isSame(as: failover) == true {
                    result.status.lastFailover = ServiceStatus.LastFailover(failover)
                }
                continue
            case .new(let failover):
                result.status.lastFailover = ServiceStatus.LastFailover(failover)
                if !failover.isFailback {
                    result.status.failovers = (result.status.failovers ?? 0).addingSaturated(1)
                }
                result.event = failover
            }
            break
        }
        result.status.cursors = cursors.cursors
        result.hasMore = taken < pending.count
        return result
    }
}

extension Failover {
    /// What a status says of the last one; so a restarted controller knows what was told.
    package init(_ last: ServiceStatus.LastFailover) {
        self.init(
            from: last.from,
            to: last.to,
            reason: last.reason,
            time: last.time,
            lost: last.lost,
            resumed: last.resumed,
            durationMilliseconds: last.duration.duration.wholeNanoseconds / 1_000_000
        )
    }
}

extension ServiceStatus.LastFailover {
    package init(_ failover: Failover) {
        self.init(
            time: Timestamp(seconds: failover.time.seconds),
            from: failover.from,
            to: failover.to,
            reason: failover.reason,
            lost: failover.lost,
            resumed: failover.resumed,
            duration: APIDuration(.milliseconds(failover.durationMilliseconds))
        )
    }

    fileprivate func isSame(as failover: Failover) -> Bool {
        from == failover.from && to == failover.to && reason == failover.reason
            && time.seconds == failover.time.seconds
    }
}
