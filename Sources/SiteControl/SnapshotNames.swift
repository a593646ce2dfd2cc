package import Balancing
import NetworkModel
package import ProxyContract

// How what a proxy knows reads in its snapshot.

extension TargetState {
    var shown: (ServiceSnapshot.State, String?) {
        condition.shown(isLastResort: target.reach.isLastResort)
    }
}

extension TargetState.Condition {
    /// The state and the reason that status and `tieline explain` show.
    package func shown(isLastResort: Bool) -> (ServiceSnapshot.State, String?) {
        switch self {
        case .usable where isLastResort:
            (.draining, FailoverReason.draining.rawValue)
        case .usable: (.usable, nil)
        case .ejected(let reason, _), .doubtful(let reason): (.ejected, reason.rawValue)
        case .excluded(let exclusion): (.excluded, exclusion.rawValue)
        case .absent(.draining): (.draining, FailoverReason.draining.rawValue)
        case .absent(let reason): (.unreachable, reason.rawValue)
        }
    }
}

extension ServiceReport {
    /// What is counted; nil when nothing was yet.
    var shownCounters: ServiceCounters? {
        counters == ServiceCounters(service: service) ? nil : counters
    }

    /// The targets as they are shown, the nearest first.
    func shownTargets(
        name: (SiteID) -> SiteName,
        via: (SiteID) -> String
    ) -> [ServiceSnapshot.Target] {
        states
            .sorted { $0.precedes($1) }
            .map { state in
                let (condition, reason) = state.shown
                return ServiceSnapshot.Target(
                    site: name(state.target.site),
                    pathCost: state.target.reach.cost,
                    givenCost: state.givenCost,
                    tier: state.tier == 0 ? nil : state.tier,
                    endpoints: state.target.reach.endpoints,
                    connections: state.own + state.others,
                    state: condition,
                    reason: reason,
                    via: via(state.target.site)
                )
            }
    }
}

extension FailoverRecord {
    func snapshot(name: (SiteID) -> SiteName, _ turn: Turn) -> FailoverSnapshot {
        FailoverSnapshot(
            sequence: sequence,
            service: service,
            from: name(from),
            to: name(to),
            reason: reason.rawValue,
            time: turn.time(of: at).rounded(to: .milliseconds(100)),
            lost: lost,
            resumed: resumed,
            durationMilliseconds: UInt64(clamping: duration.wholeNanoseconds / 1_000_000)
        )
    }
}

extension TargetState {
    /// By tiers, in each the cheapest first, those without a path last.
    fileprivate func precedes(_ other: TargetState) -> Bool {
        if tier != other.tier { return tier < other.tier }
        return switch (shownCost, other.shownCost) {
        case (let cost?, let least?) where cost != least: cost < least
        case (nil, _?): false
        case (_?, nil): true
        default: target.site < other.target.site
        }
    }

    private var shownCost: PathCost? { target.reach.cost.map { givenCost ?? $0 } }
}
