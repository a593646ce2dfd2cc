package import NetworkModel

/// One target as a pick sees it, with all that decides.
package struct Candidate: Sendable {
    package let target: Target
    package let condition: TargetState.Condition
    /// Connections of this proxy.
    package let own: UInt64
    /// Connections of the site's other proxies, as last heard.
    package let others: UInt64
    /// Connections of other sites, where they count, as last reported.
    package let elsewhere: UInt64
    /// The number of its tier; one more than the last for sites that no tier names.
    package let tier: Int
    /// What a pick goes by; nil: it takes no connection.
    package let offer: Offer?

    package struct Offer: Sendable {
        /// What the policy makes of the path's cost.
        package let cost: PathCost
        package let weight: UInt32
        /// The part of the weight that counts while the target has just returned; 1,000: all of it.
        package let thousandths: UInt32
        package let perceived: PerceivedCost
    }

    init(_ slot: TargetSlot, _ bid: Bid) {
        target = slot.target
        condition = slot.condition
        own = slot.own
        others = slot.others
        elsewhere = slot.elsewhere
        tier = slot.terms.tier
        offer =
            bid.isOffer
            ? Offer(
                cost: PathCost(bid.cost),
                weight: bid.weight,
                thousandths: UInt32(bid.thousandths),
                perceived: bid.perceived
            ) : nil
    }
}

extension TargetSlot {
    var condition: TargetState.Condition {
        switch target.reach {
        case .absent(let reason): return .absent(reason)
        case .usable, .lastResort: break
        }
        if let exclusion = terms.exclusion { return .excluded(exclusion) }
        if let ejection { return .ejected(ejection.reason, until: ejection.until) }
        if case .lastResort(_, _, let doubt?) = target.reach { return .doubtful(doubt) }
        return .usable
    }
}
