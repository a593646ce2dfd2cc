package import NetworkModel

/// Picks targets for the connections of one service port, by exact perceived cost.
///
/// perceived(t) = cost(t) + open(t) / weight(t). A pick and its count are one step; the caller holds one lock per service
/// around this value, so that the rule is exact with any number of loops.
package struct ServiceBalancer: Sendable {
    package let service: ServicePort
    /// Sorted by site.
    private var slots: [Slot] = []
    private var picks: UInt64 = 0

    struct Slot: Sendable {
        var target: Target
        var own: UInt64 = 0
        var others: UInt64 = 0
        var lastPicked: UInt64 = 0
    }

    package init(service: ServicePort) {
        self.service = service
    }

    /// Takes the targets that routing knows now; all others are absent.
    package mutating func update(_ targets: [Target], at now: Instant) {
        fatalError()
    }

    /// What the site's other proxies have open, per target; all of them.
    package mutating func setOthers(_ counts: [SiteID: UInt64]) {
        fatalError()
    }

    /// The target with the lowest perceived cost outside of `excluded`; counts the connection as open to it.
    ///
    /// Nil when no target is left.
    package mutating func pick(excluding excluded: [SiteID] = [], at now: Instant) -> Pick? {
        fatalError()
    }

    /// The target answered: OPENED, or the local connect succeeded.
    package mutating func opened(_ site: SiteID, at now: Instant) {
        fatalError()
    }

    /// The target did not take the connection; it is ejected for a while. Releases the pick.
    package mutating func failed(_ site: SiteID, reason: FailoverReason, at now: Instant) {
        fatalError()
    }

    /// The connection has ended, or its pick was given up for a reason that does not speak against the target.
    package mutating func release(_ site: SiteID) {
        fatalError()
    }

    /// An open connection was reset because its target or the path to it was lost. Releases it as well.
    package mutating func lost(_ site: SiteID, at now: Instant) {
        fatalError()
    }

    /// True when a pick without exclusions would find a target: the service's sockets listen.
    package var hasTarget: Bool { fatalError() }

    /// This proxy's open connections per target, without zeros.
    package var ownCounts: [SiteID: UInt64] { fatalError() }

    package var states: [TargetState] { fatalError() }

    /// The failovers and failbacks that were completed since the last call; sequence numbers are 0.
    package mutating func takeRecords() -> [FailoverRecord] { fatalError() }
}
