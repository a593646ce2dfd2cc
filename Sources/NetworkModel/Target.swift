/// One site that could take the connections of a service port: the one shape of it, from routing and the local servers to
/// status.
package struct Target: Hashable, Sendable {
    package var site: SiteID
    package var reach: Reach

    package init(site: SiteID, reach: Reach) {
        self.site = site
        self.reach = reach
    }
}

/// Whether a target takes connections, and at what cost; one that does not has no cost.
package enum Reach: Hashable, Sendable {
    /// `endpoints`: the ready ones, at least 1; open connections are divided by them.
    case usable(cost: PathCost, endpoints: UInt32)
    /// Taken only while no target is usable.
    ///
    /// Without `doubt`: gateways that drain, or endpoints that terminate, and still serve. With it: none of the endpoints is known to
    /// take connections, for that reason; they are told to nobody. At least 1 endpoint.
    case lastResort(cost: PathCost, endpoints: UInt32, doubt: FailoverReason? = nil)
    /// Takes none.
    case absent(FailoverReason)

    /// What a pick goes by; nil when the target takes no connection.
    package var offer: (cost: PathCost, endpoints: UInt32)? {
        switch self {
        case .usable(let cost, let endpoints), .lastResort(let cost, let endpoints, _):
            (cost, endpoints)
        case .absent: nil
        }
    }

    /// The cost of the path; nil while there is none.
    package var cost: PathCost? { offer?.cost }

    /// Endpoints that take connections, as far as is known: for people and metrics.
    package var endpoints: UInt32 {
        switch self {
        case .usable(_, let endpoints), .lastResort(_, let endpoints, nil): endpoints
        case .lastResort, .absent: 0
        }
    }

    package var isUsable: Bool { if case .usable = self { true } else { false } }
    package var isLastResort: Bool { if case .lastResort = self { true } else { false } }
}
