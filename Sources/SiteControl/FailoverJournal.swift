import Balancing
import NetworkModel

/// The failovers and failbacks of this proxy, numbered from 1 in the order in which they were completed.
///
/// Keeps the newest 256: whoever reads them keeps a cursor, and asks far more often than they come.
struct FailoverJournal {
    private(set) var records: [FailoverRecord] = []
    private var last: UInt64 = 0
    private static let limit = 256

    mutating func append(_ new: [FailoverRecord]) {
        guard !new.isEmpty else { return }
        for record in new {
            last += 1
            records.append(record.numbered(last))
        }
        if records.count > Self.limit { records.removeFirst(records.count - Self.limit) }
    }
}

extension FailoverRecord {
    fileprivate func numbered(_ sequence: UInt64) -> FailoverRecord {
        FailoverRecord(
            sequence: sequence,
            service: service,
            from: from,
            to: to,
            reason: reason,
            at: at,
            lost: lost,
            resumed: resumed,
            duration: duration
        )
    }
}
