import Balancing
import NetworkModel
import ProxyContract

// How what a proxy knows reads in its snapshot.

extension TargetState {
    var shown: (ServiceSnapshot.State, String?) {
        switch condition {
        case .usable where target.reach.isLastResort:
            (.draining, FailoverReason.draining.rawValue)
        case .usable: (.usable, nil)
        case .ejected(let reason, _), .doubtful(let reason): (.ejected, reason.rawValue)
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
            .sorted { $0.target.precedes($1.target) }
            .map { state in
                let (condition, reason) = state.shown
                return ServiceSnapshot.Target(
                    site: name(state.target.site),
                    pathCost: state.target.reach.cost,
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

extension Target {
    /// The cheapest first, those without a path last.
    fileprivate func precedes(_ other: Target) -> Bool {
        switch (reach.cost, other.reach.cost) {
        case (let cost?, let least?) where cost != least: cost < least
        case (nil, _?): false
        case (_?, nil): true
        default: site < other.site
        }
    }
}
