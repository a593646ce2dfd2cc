import NetworkModel

/// At what pace advertisements are taken, whatever their origin or a neighbor thinks fit.
///
/// One beyond the pace is neither taken nor acknowledged. The neighbor sends the newest that it holds a second later: the
/// newest wins, and nothing waits here.
struct ArrivalPace: Sendable {
    /// For newer versions of what is held.
    private var origins: [ProxyID: TokenBucket] = [:]
    /// For fragments that were not held before.
    private var sites: [SiteID: TokenBucket] = [:]
    private(set) var deferrals: UInt64 = 0

    private static let origin = TokenBucket(
        perSecond: RoutingLimits.arrivalsPerSecond,
        burst: RoutingLimits.arrivalBurst
    )
    private static let site = TokenBucket(
        perSecond: RoutingLimits.newcomersPerSecond,
        burst: RoutingLimits.newcomerBurst
    )

    /// Whether one would be taken now.
    func allows(_ key: LSAKey, isHeld: Bool, at now: Instant) -> Bool {
        var bucket =
            isHeld
            ? origins[key.origin] ?? Self.origin : sites[key.origin.site] ?? Self.site
        return bucket.take(at: now)
    }

    /// Takes a token, or counts that there was none.
    mutating func take(_ key: LSAKey, isHeld: Bool, at now: Instant) -> Bool {
        let isTaken =
            isHeld
            ? origins[key.origin, default: Self.origin].take(at: now)
            : sites[key.origin.site, default: Self.site].take(at: now)
        if !isTaken { deferrals += 1 }
        return isTaken
    }

    /// Forgets buckets that are full again, which is as good as having none.
    mutating func tidy(at now: Instant) {
        origins = origins.filter { !$0.value.isFull(at: now) }
        sites = sites.filter { !$0.value.isFull(at: now) }
    }
}
