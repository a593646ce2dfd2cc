package import NetworkModel

/// Picks targets for the connections of one service port, by exact perceived cost.
///
/// perceived(t) = cost(t) + open(t) / weight(t), where open(t) counts this proxy's connections, those of the site's
/// other proxies, and those of other sites where they are reported; cost, weight, tier and whether the target is used at all are what the policy makes of path and endpoints.
/// The first tier with a usable target takes all; in it the lowest wins; ties go to the lower cost, then to the target
/// picked longest ago, then to the smaller SiteID. A pick and its count are one step: the caller holds one lock per service around this value, and the
/// rule is exact with any number of loops.
///
/// Every pick ends with exactly one of `failed`, `lost` and `release`.
package struct ServiceBalancer: Sendable {
    package let service: ServicePort
    /// Sorted by site.
    private var slots: [TargetSlot] = []
    /// What each of `slots` bids, its site, and the number of its last pick (0: never): what picks go over.
    private var bids: [Bid] = []
    private var sites: [SiteID] = []
    private var lastPicks: [UInt64] = []
    /// Those of `slots` whose bids change with time: they are ejected, or have just returned.
    private var unsettled: [Int] = []
    private var picks: UInt64 = 0
    private var others: [SiteID: UInt64] = [:]
    private var elsewhere: [SiteID: UInt64] = [:]
    private var log: FailoverLog
    private var policy = BalancingPolicy.standard
    private var decided = DecisionLog()
    /// When the first targets became known: those that come within `slowStart` of it have their whole weight at once.
    private var began: Instant?

    package init(service: ServicePort) {
        self.service = service
        log = FailoverLog(service: service)
    }

    // MARK: Knowledge

    /// Takes the targets that routing knows now; all others are absent.
    ///
    /// Open connections to a target that went away stay counted until they are released.
    package mutating func update(_ targets: [Target], at now: Instant) {
        if began == nil, !targets.isEmpty { began = now }
        settle(at: now)
        let winner = best(excluding: [])
            .flatMap { slots[$0].ejection == nil ? slots[$0].target.site : nil }
        var rest: [SiteID: TargetSlot] = [:]
        for slot in slots { rest[slot.target.site] = slot }
        var updated: [TargetSlot] = []
        for target in targets.sorted(by: { $0.site < $1.site }) {
            guard updated.last?.target.site != target.site else { continue }
            let old = rest.removeValue(forKey: target.site)
            updated.append(change(old, to: target, winner: winner, at: now))
        }
        for old in rest.values {
            var gone = old.target
            if gone.reach.offer != nil { gone.reach = .absent(.noEndpoints) }
            var slot = change(old, to: gone, winner: winner, at: now)
            slot.goneSince = old.goneSince ?? now
            let isRecent = now - (slot.goneSince ?? now) < TargetSlot.memory
            if slot.own > 0 || (isRecent && log.isFollowing(gone.site)) {
                updated.append(slot)
            } else {
                log.forget(gone.site)
            }
        }
        arrange(updated.sorted { $0.target.site < $1.target.site }, at: now)
    }

    /// Takes other slots in place of those that there are, in order.
    private mutating func arrange(_ new: [TargetSlot], at now: Instant) {
        let last = Dictionary(zip(sites, lastPicks)) { first, _ in first }
        slots = new
        sites = new.map(\.target.site)
        lastPicks = sites.map { last[$0] ?? 0 }
        rebid(at: now)
    }

    /// Something about slots is another than before that bids are made from.
    private mutating func rebid(at now: Instant) {
        let slowStart = policy.slowStart
        bids = slots.map { Bid($0, slowStart: slowStart, at: now) }
        for (index, number) in decided.number(sites).enumerated() { bids[index].site = number }
        unsettled = slots.indices.filter { index in
            slots[index].ejection != nil || slots[index].returnedAt != nil && slowStart > .zero
        }
    }

    /// Brings bids up to the time.
    private mutating func settle(at now: Instant) {
        for index in unsettled {
            bids[index].settle(slots[index], slowStart: policy.slowStart, at: now)
        }
    }

    private mutating func change(
        _ old: TargetSlot?,
        to target: Target,
        winner: SiteID?,
        at now: Instant
    ) -> TargetSlot {
        guard var slot = old else {
            var fresh = TargetSlot(target, policy: policy)
            fresh.others = others[target.site] ?? 0
            fresh.elsewhere = elsewhere[target.site] ?? 0
            if let began, now - began > policy.slowStart { fresh.returnedAt = now }
            return fresh
        }
        let was = slot
        // More servers than before, or better ones: whatever failed then may work now.
        if target.reach.isBetter(than: was.target.reach) { slot.ejection = nil }
        slot.set(target, under: policy)
        slot.goneSince = nil
        if was.isUsable, !slot.isUsable {
            let held = was.own > 0 || was.recentlyLost(at: now) > 0
            if held || winner == target.site {
                log.judge(target.site, reason: slot.unusableReason, lastPick: picks, at: now)
            }
        } else if !was.isUsable, slot.isUsable {
            slot.returnedAt = now
            log.returned(target.site)
        }
        return slot
    }

    /// Takes how the targets are to be used from now on; open connections are left alone.
    ///
    /// A target that is not used any more by the word of the policy has not failed over.
    package mutating func setPolicy(_ policy: BalancingPolicy, at now: Instant) {
        guard policy != self.policy else { return }
        self.policy = policy
        for index in slots.indices {
            let wasUsable = slots[index].isUsable
            slots[index].set(slots[index].target, under: policy)
            let site = slots[index].target.site
            if wasUsable, !slots[index].isUsable { log.forget(site) }
            if !wasUsable, slots[index].isUsable {
                slots[index].returnedAt = now
                log.returned(site)
            }
        }
        rebid(at: now)
    }

    /// A server of this target is ready that was not before: what failed may work now, also where their number is the same.
    package mutating func renew(_ site: SiteID, at now: Instant) {
        guard let index = index(of: site), slots[index].ejection != nil else { return }
        comesBack(index, at: now)
    }

    /// What spoke against the target does so no longer.
    private mutating func comesBack(_ index: Int, at now: Instant) {
        slots[index].ejection = nil
        defer { rebid(at: now) }
        guard slots[index].isUsable else { return }
        slots[index].returnedAt = now
        log.returned(slots[index].target.site)
    }

    /// What the site's other proxies have open, per target; all of them.
    package mutating func setOthers(_ counts: [SiteID: UInt64]) {
        others = counts
        for index in slots.indices {
            slots[index].others = counts[sites[index]] ?? 0
            bids[index].open = slots[index].open
        }
    }

    /// What the clients of other sites have open, per target; all of them.
    package mutating func setElsewhere(_ counts: [SiteID: UInt64]) {
        elsewhere = counts
        for index in slots.indices {
            slots[index].elsewhere = counts[sites[index]] ?? 0
            bids[index].open = slots[index].open
        }
    }

    // MARK: Picking

    /// The target with the lowest perceived cost outside of `excluded`; counts the connection as open to it.
    ///
    /// Nil when no target is left. While every target is ejected, the best of them is tried all the same.
    package mutating func pick(excluding excluded: [SiteID] = [], at now: Instant) -> Pick? {
        settle(at: now)
        guard let index = best(excluding: excluded) else { return nil }
        picks += 1
        decided.note(picks, bids, chosen: index, at: now)
        for site in excluded {
            if let index = self.index(of: site) { decided.withdraw(index, from: picks) }
        }
        bids[index].open += 1
        lastPicks[index] = picks
        slots[index].own += 1
        slots[index].turns &+= 1
        if slots[index].ejection != nil { slots[index].ejection?.startProbe(picks, at: now) }
        let site = sites[index]
        log.picked(site)
        return Pick(site: site, number: picks, turn: slots[index].turns)
    }

    /// Of the bids as they stand.
    private func best(excluding excluded: [SiteID]) -> Int? {
        var best: (index: Int, bid: Bid)?
        for (index, bid) in bids.enumerated() {
            guard bid.isOffer, excluded.isEmpty || !excluded.contains(sites[index]) else {
                continue
            }
            if let best {
                let isBetter = bid.isBetter(than: best.bid)
                guard isBetter ?? (lastPicks[index] < lastPicks[best.index]) else { continue }
            }
            // Slots are sorted by site: of two that are equal in everything the earlier stays.
            best = (index, bid)
        }
        return best?.index
    }

    /// Slots are sorted by site: of two that are equal in everything the earlier is better.
    private func isBetter(_ index: Int, than other: Int) -> Bool {
        if let isBetter = bids[index].isBetter(than: bids[other]) { return isBetter }
        if lastPicks[index] != lastPicks[other] { return lastPicks[index] < lastPicks[other] }
        return index < other
    }

    // MARK: Outcomes

    /// The target answered: OPENED, or the local connect succeeded.
    package mutating func opened(_ pick: Pick, at now: Instant) {
        if let index = index(of: pick.site), slots[index].ejection != nil {
            comesBack(index, at: now)
        }
        let slots = slots
        log.opened(pick, at: now) { site in
            guard let slot = slots.first(where: { $0.target.site == site }) else { return .init() }
            return .init(lost: slot.recentlyLost(at: now), resumed: slot.recentlyResumed(at: now))
        }
    }

    /// The target did not take the connection: it is ejected for a while, and the pick released.
    package mutating func failed(_ pick: Pick, reason: FailoverReason, at now: Instant) {
        guard let index = index(of: pick.site) else { return }
        if slots[index].ejection != nil {
            slots[index].ejection?.fail(pick.number, at: now)
        } else if slots[index].terms.offer != nil {
            eject(index, reason, at: now)
        }
        release(index)
    }

    private mutating func eject(_ index: Int, _ reason: FailoverReason, at now: Instant) {
        slots[index].ejection = Ejection(reason: reason, at: now)
        log.judge(slots[index].target.site, reason: reason, lastPick: picks, at: now)
        rebid(at: now)
    }

    /// A client of this site with a proxy of its own was let in by the target, or was told that the site is not allowed, which
    /// holds for all its clients; true when that is news.
    package mutating func heard(of site: SiteID, isAllowed: Bool, at now: Instant) -> Bool {
        guard let index = index(of: site) else { return false }
        if isAllowed {
            guard slots[index].ejection?.reason == .notAllowed else { return false }
            comesBack(index, at: now)
        } else {
            guard slots[index].ejection == nil, slots[index].terms.offer != nil else {
                return false
            }
            eject(index, .notAllowed, at: now)
        }
        return true
    }

    /// The connection has ended, or its pick was given up for a reason that does not speak against the target.
    package mutating func release(_ pick: Pick) {
        guard let index = index(of: pick.site) else { return }
        if slots[index].ejection != nil { slots[index].ejection?.abandonProbe(pick.number) }
        release(index)
    }

    /// The connection was reset because its target or the path to it was lost; releases the pick.
    package mutating func lost(_ pick: Pick, at now: Instant) {
        guard let index = index(of: pick.site) else { return }
        slots[index].lose(at: now)
        release(index)
    }

    /// The connection has gone on over another path to the target, which keeps it.
    package mutating func resumed(_ pick: Pick, at now: Instant) {
        guard let index = index(of: pick.site) else { return }
        slots[index].resume(at: now)
    }

    private mutating func release(_ index: Int) {
        precondition(slots[index].own > 0, "\(service): more releases than picks")
        slots[index].own -= 1
        bids[index].open -= 1
    }

    private func index(of site: SiteID) -> Int? { sites.firstIndex(of: site) }

    // MARK: Reading

    /// True when a pick without exclusions would find a target: the service's sockets listen.
    package var hasTarget: Bool { slots.contains { $0.terms.offer != nil } }

    /// This proxy's open connections per target, without zeros.
    package var ownCounts: [SiteID: UInt64] {
        var counts: [SiteID: UInt64] = [:]
        for slot in slots where slot.own > 0 { counts[slot.target.site] = slot.own }
        return counts
    }

    /// Every target with its condition, sorted by site.
    package var states: [TargetState] {
        slots.map { slot in
            TargetState(
                target: slot.target,
                condition: slot.condition,
                givenCost: policy.costs[slot.target.site],
                tier: slot.terms.tier,
                own: slot.own,
                others: slot.others
            )
        }
    }

    /// Every target as a pick at this time would see it: the next pick is the first that has an offer.
    ///
    /// Made by what picks, so that it cannot disagree.
    package func ranking(at now: Instant) -> [Candidate] {
        var current = self
        current.settle(at: now)
        return current.slots.indices
            .sorted { left, right in
                let (first, second) = (current.bids[left].isOffer, current.bids[right].isOffer)
                guard first, second else { return first == second ? left < right : first }
                return current.isBetter(left, than: right)
            }
            .map { Candidate(current.slots[$0], current.bids[$0]) }
    }

    /// The last picks, the newest first, at most 100.
    package var decisions: [Decision] { decided.decisions }

    /// The failovers and failbacks completed since the last call; their sequence numbers are 0.
    package mutating func takeRecords() -> [FailoverRecord] { log.take() }
}

extension TargetSlot {
    /// Why a target that was used is not used any more.
    fileprivate var unusableReason: FailoverReason {
        terms.exclusion == .tooFewEndpoints ? .tooFewEndpoints : target.reach.reason
    }
}

extension Reach {
    /// More servers than before, or better ones: whatever failed then may work now.
    fileprivate func isBetter(than old: Reach) -> Bool {
        guard let before = old.offer else { return true }
        let now = offer?.endpoints ?? 0
        return now > before.endpoints || (old.isLastResort && isUsable)
    }

    /// Why a target that was used is not used any more.
    fileprivate var reason: FailoverReason {
        switch self {
        case .absent(let reason), .lastResort(_, _, let reason?): reason
        case .lastResort: .draining
        // It was ejected.
        case .usable: .noEndpoints
        }
    }
}
