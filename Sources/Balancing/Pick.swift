package import NetworkModel

/// The outcome of a pick: the connection is counted already and has to be released, whatever becomes of it.
package struct Pick: Hashable, Sendable {
    // In an order without gaps.
    /// Increases with every pick of the service.
    package var number: UInt64
    /// Counts the picks of this target: they go round its routes, whatever other targets are picked in between.
    package var turn: UInt64
    package var site: SiteID

    package init(site: SiteID, number: UInt64, turn: UInt64) {
        self.site = site
        self.number = number
        self.turn = turn
    }
}

/// How a target looks to status and metrics.
package struct TargetState: Hashable, Sendable {
    package enum Condition: Hashable, Sendable {
        case usable
        /// Connects failed; not tried again before the instant.
        case ejected(FailoverReason, until: Instant)
        /// None of its endpoints takes connections, as far as is known; tried while nothing else is left.
        case doubtful(FailoverReason)
        /// It would take connections, and the policy keeps them from it.
        case excluded(PolicyExclusion)
        case absent(FailoverReason)
    }

    package var target: Target
    package var condition: Condition
    /// What the policy takes for the cost of the path, where it says so.
    package var givenCost: PathCost?
    /// The number of its tier, from 0.
    package var tier: Int
    /// Connections of this proxy.
    package var own: UInt64
    /// Connections of the site's other proxies, as last heard.
    package var others: UInt64

    package init(
        target: Target,
        condition: Condition,
        givenCost: PathCost? = nil,
        tier: Int = 0,
        own: UInt64,
        others: UInt64
    ) {
        self.target = target
        self.condition = condition
        self.givenCost = givenCost
        self.tier = tier
        self.own = own
        self.others = others
    }
}
