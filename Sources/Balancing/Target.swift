package import NetworkModel

/// One site that could take a connection, as routing (or, for the own site, the local endpoints) describes it.
package struct Target: Hashable, Sendable {
    package var site: SiteID
    package var cost: PathCost
    /// Ready endpoints, what open connections are divided by; 0: not usable.
    package var weight: UInt32
    /// Only used while nothing else is: endpoints that terminate or are in doubt, or gateways that drain and still serve.
    package var isLastResort: Bool
    /// Why none of its ready endpoints takes connections, as far as is known: it is a last resort then, and its endpoints
    /// are counted nowhere.
    package var doubt: FailoverReason?
    /// Why it is not usable; nil when it is.
    package var absence: FailoverReason?

    package init(
        site: SiteID,
        cost: PathCost,
        weight: UInt32,
        isLastResort: Bool = false,
        doubt: FailoverReason? = nil,
        absence: FailoverReason? = nil
    ) {
        self.site = site
        self.cost = cost
        self.weight = weight
        self.isLastResort = isLastResort || doubt != nil
        self.doubt = doubt
        self.absence = absence
    }

    /// Endpoints that take connections, for people and metrics.
    package var endpoints: UInt32 { doubt == nil ? weight : 0 }

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
        /// None of its endpoints takes connections, as far as is known; tried while nothing else is left.
        case doubtful(FailoverReason)
        case absent(FailoverReason)
    }

    package var target: Target
    package var condition: Condition
    /// Connections of this proxy.
    package var own: UInt64
    /// Connections of the site's other proxies, as last heard.
    package var others: UInt64
}
