package import NetworkModel

/// One site that could take a connection, as routing (or, for the own site, the local endpoints) describes it.
package struct Target: Hashable, Sendable {
    package var site: SiteID
    package var cost: PathCost
    /// Ready endpoints, what open connections are divided by; 0: not usable.
    package var weight: UInt32
    /// Only used while nothing else is: endpoints that terminate, or gateways that drain, and still serve.
    package var isLastResort: Bool
    /// Why it is not usable; nil when it is.
    package var absence: FailoverReason?

    package init(
        site: SiteID,
        cost: PathCost,
        weight: UInt32,
        isLastResort: Bool = false,
        absence: FailoverReason? = nil
    ) {
        self.site = site
        self.cost = cost
        self.weight = weight
        self.isLastResort = isLastResort
        self.absence = absence
    }

    var isPresent: Bool { weight > 0 && absence == nil && cost != .unreachable }
}

/// The outcome of a pick: the connection is counted already and has to be released, whatever becomes of it.
package struct Pick: Hashable, Sendable {
    package var site: SiteID
    package var cost: PathCost
    /// Increases with every pick of the service; spreads picks over equal routes.
    package var number: UInt64

    package init(site: SiteID, cost: PathCost, number: UInt64) {
        self.site = site
        self.cost = cost
        self.number = number
    }
}

/// How a target looks to `tieline explain`.
package struct TargetState: Hashable, Sendable {
    package enum Condition: Hashable, Sendable {
        case usable
        /// Connects failed; not tried again before the instant.
        case ejected(FailoverReason, until: Instant)
        case absent(FailoverReason)
    }

    package var target: Target
    package var condition: Condition
    /// Connections of this proxy.
    package var own: UInt64
    /// Connections of the site's other proxies, as last heard.
    package var others: UInt64
}
