package import NetworkModel
package import ProxyContract

/// One failover of a service as the site tells of it: the records of its proxies, merged.
package struct Failover: Equatable, Sendable {
    package var from: String
    package var to: String
    package var reason: String
    /// Of the first record.
    package var time: Timestamp
    package var lost: Int64
    package var resumed: Int64
    package var durationMilliseconds: Int64

    package init(
        from: String,
        to: String,
        reason: String,
        time: Timestamp,
        lost: Int64 = 0,
        resumed: Int64 = 0,
        durationMilliseconds: Int64 = 0
    ) {
        self.from = from
        self.to = to
        self.reason = reason
        self.time = time
        self.lost = lost
        self.resumed = resumed
        self.durationMilliseconds = durationMilliseconds
    }

    /// A failback is told as an Event of its own and is no failover to count.
    package var isFailback: Bool { reason == FailoverReason.failback.rawValue }

    /// Whether a record of `reason` can tell of this failover, too; a newer proxy may know reasons that this process does not.
    fileprivate func isToldBy(_ reason: String) -> Bool {
        guard let own = FailoverReason(rawValue: self.reason),
            let other = FailoverReason(rawValue: reason)
        else { return self.reason == reason }
        return own.cause == other.cause
    }
}

extension Timestamp {
    /// Whether less than `duration` is between both, whichever is first.
    func isWithin(_ duration: Duration, of other: Timestamp) -> Bool {
        max(self, other) - min(self, other) < duration
    }
}

/// A failover record with the proxy that wrote it.
package struct ProxyFailover: Equatable, Sendable {
    package var proxy: ProxyID
    package var record: FailoverSnapshot

    package init(proxy: ProxyID, record: FailoverSnapshot) {
        self.proxy = proxy
        self.record = record
    }
}

/// Merges the failover records of a site's proxies: what happened once is told once.
///
/// Records with equal (from, to, cause) within `window` of the first of them are one failover, with the first one's reason. The caller writes
/// one step's result to status before it asks for the next, so a crash repeats at most one step, with the same outcome.
package struct FailoverLedger: Equatable, Sendable {
    package static let window: Duration = .seconds(5)
    private static let remembered = 8

    /// The failovers that later records may still belong to, oldest first.
    package private(set) var recent: [Failover]

    package init(recent: [Failover] = []) { self.recent = recent }

    package enum Outcome: Equatable, Sendable {
        /// Not told before: one Event.
        case new(Failover)
        /// More of one that was told; it is the value that now holds.
        case merged(Failover)
    }

    /// Takes one record; records come in the order of their time.
    package mutating func take(_ record: FailoverSnapshot) -> Outcome {
        let from = record.from.displayName
        let to = record.to.displayName
        let index = recent.firstIndex { known in
            known.from == from && known.to == to && known.isToldBy(record.reason)
                && record.time.isWithin(Self.window, of: known.time)
        }
        guard let index else {
            let failover = Failover(
                from: from,
                to: to,
                reason: record.reason,
                time: record.time,
                lost: Int64(record.lost),
                resumed: Int64(record.resumed),
                durationMilliseconds: Int64(clamping: record.durationMilliseconds)
            )
            recent.append(failover)
            recent.removeFirst(max(0, recent.count - Self.remembered))
            return .new(failover)
        }
        recent[index].lost = recent[index].lost.addingSaturated(Int64(record.lost))
        recent[index].resumed = recent[index].resumed.addingSaturated(Int64(record.resumed))
        recent[index].durationMilliseconds = max(
            recent[index].durationMilliseconds,
            Int64(clamping: record.durationMilliseconds)
        )
        return .merged(recent[index])
    }

    /// The records that `ledger` has no cursor past yet, in the order in which they are to be taken.
    ///
    /// By time, but never against the sequence of one proxy, whose clock may have been set back.
    package static func pending(
        _ records: [ProxyFailover],
        after ledger: CounterLedger
    ) -> [ProxyFailover] {
        var newest: [ProxyID: Timestamp] = [:]
        let timed = records.filter { $0.record.sequence > ledger.failovers(of: $0.proxy) }
            .sorted { $0.record.sequence < $1.record.sequence }
            .map { entry in
                let time = max(entry.record.time, newest[entry.proxy] ?? entry.record.time)
                newest[entry.proxy] = time
                return (time: time, entry: entry)
            }
        return timed.sorted { left, right in
            (left.time, left.entry.proxy, left.entry.record.sequence)
                < (right.time, right.entry.proxy, right.entry.record.sequence)
        }.map(\.entry)
    }
}
