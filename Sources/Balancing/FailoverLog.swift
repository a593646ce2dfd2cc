import NetworkModel

/// Follows targets that stopped being usable until connections open elsewhere, and until they come back.
///
/// Guarantee: one record per judgment, made at the first connection that opens elsewhere and was picked after it; one
/// failback per record, at the first connection that the old target opens again.
struct FailoverLog: Sendable {
    private struct Pending: Sendable {
        let reason: FailoverReason
        let at: Instant
        /// Picks up to this number were made before the judgment and do not count.
        let lastPick: UInt64
        var hasMoved = false
    }

    private struct Moved: Sendable {
        let to: SiteID
        let lastPick: UInt64
    }

    /// Connections that were reset, and those that went on over another path.
    struct Fates {
        var lost: UInt32 = 0
        var resumed: UInt32 = 0
    }

    private let service: ServicePort
    private var pending: [SiteID: Pending] = [:]
    private var moved: [SiteID: Moved] = [:]
    private var records: [FailoverRecord] = []
    /// Older records give way when nobody takes them.
    private static let capacity = 256

    init(service: ServicePort) { self.service = service }

    /// `site` held connections, or would have won the next pick, and is not usable any more.
    mutating func judge(_ site: SiteID, reason: FailoverReason, lastPick: UInt64, at now: Instant) {
        guard pending[site] == nil else { return }
        moved[site] = nil
        pending[site] = Pending(reason: reason, at: now, lastPick: lastPick)
    }

    /// A pick went to `site`: whatever waits for another target has moved.
    mutating func picked(_ site: SiteID) {
        guard !pending.isEmpty else { return }
        for from in pending.keys where from != site { pending[from]?.hasMoved = true }
    }

    /// `site` is usable again; a judgment that moved nothing is forgotten.
    mutating func returned(_ site: SiteID) {
        if pending[site]?.hasMoved == false { pending[site] = nil }
    }

    /// A connection opened; `fates` says what became of a target's connections lately.
    mutating func opened(_ pick: Pick, at now: Instant, fates: (SiteID) -> Fates) {
        guard !pending.isEmpty || !moved.isEmpty else { return }
        for (from, judgment) in pending.sorted(by: { $0.key < $1.key })
        where pick.number > judgment.lastPick {
            pending[from] = nil
            guard from != pick.site else { continue }
            moved[from] = Moved(to: pick.site, lastPick: pick.number)
            append(
                from: from,
                to: pick.site,
                reason: judgment.reason,
                at: judgment.at,
                fates: fates(from),
                duration: now - judgment.at
            )
        }
        if let old = moved[pick.site], pick.number > old.lastPick {
            moved[pick.site] = nil
            append(
                from: old.to,
                to: pick.site,
                reason: .failback,
                at: now,
                fates: Fates(),
                duration: .zero
            )
        }
    }

    private mutating func append(
        from: SiteID,
        to: SiteID,
        reason: FailoverReason,
        at: Instant,
        fates: Fates,
        duration: Duration
    ) {
        if records.count == Self.capacity { records.removeFirst() }
        records.append(
            FailoverRecord(
                sequence: 0,
                service: service,
                from: from,
                to: to,
                reason: reason,
                at: at,
                lost: fates.lost,
                resumed: fates.resumed,
                duration: duration
            )
        )
    }

    mutating func take() -> [FailoverRecord] {
        defer { records = [] }
        return records
    }

    /// What no slot of the balancer stands for any more is forgotten.
    mutating func forget(_ site: SiteID) {
        pending[site] = nil
        moved[site] = nil
    }

    /// True while the site's return would be a failback, or its loss waits for a pick.
    func isFollowing(_ site: SiteID) -> Bool { pending[site] != nil || moved[site] != nil }
}
