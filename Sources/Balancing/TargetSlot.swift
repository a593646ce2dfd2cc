import NetworkModel

/// What a balancer remembers of one target.
struct TargetSlot: Sendable {
    private(set) var target: Target
    /// What the policy makes of the target.
    private(set) var terms: Terms
    var own: UInt64 = 0
    var others: UInt64 = 0
    var elsewhere: UInt64 = 0
    /// How often it was picked; wraps.
    var turns: UInt64 = 0
    var ejection: Ejection<FailoverReason>?
    /// Since when routing does not name the target any more.
    var goneSince: Instant?
    /// When it returned: its weight rises from then on; nil: it has all of it.
    var returnedAt: Instant?
    /// Connections that were reset, and those that went on over another path.
    private var lost = RecentCount()
    private var resumed = RecentCount()

    /// How long a target that went away may come back as a failback.
    static let memory: Duration = .seconds(600)

    init(_ target: Target, policy: BalancingPolicy) {
        self.target = target
        terms = Terms(of: target, under: policy)
    }

    mutating func set(_ target: Target, under policy: BalancingPolicy) {
        self.target = target
        terms = Terms(of: target, under: policy)
    }

    var isUsable: Bool { target.reach.isUsable && ejection == nil && terms.exclusion == nil }

    /// Connections that count.
    var open: UInt64 { own + others + elsewhere }

    /// Usable targets come first, then those that serve while they terminate, then ejected ones.
    ///
    /// An ejected target whose probe is due competes as if it were usable.
    func rank(at now: Instant) -> UInt16 {
        if let ejection, !ejection.isDue(at: now) { return 2 }
        return target.reach.isLastResort ? 1 : 0
    }

    /// The part of its weight that counts.
    func thousandths(slowStart: Duration, at now: Instant) -> UInt16 {
        guard let returnedAt, slowStart > .zero else { return 1_000 }
        let passed = now - returnedAt
        guard passed < slowStart else { return 1_000 }
        return max(100, UInt16(passed / slowStart * 1_000))
    }

    mutating func lose(at now: Instant) { lost.add(at: now) }
    mutating func resume(at now: Instant) { resumed.add(at: now) }

    func recentlyLost(at now: Instant) -> UInt32 { lost.value(at: now) }
    func recentlyResumed(at now: Instant) -> UInt32 { resumed.value(at: now) }
}

/// What a policy makes of a target.
struct Terms: Sendable {
    /// What a pick goes by; nil: it is not used.
    let offer: (cost: PathCost, weight: UInt32)?
    let tier: Int
    let exclusion: PolicyExclusion?

    init(of target: Target, under policy: BalancingPolicy) {
        tier = policy.tier(of: target.site)
        guard let (cost, endpoints) = target.reach.offer else {
            (offer, exclusion) = (nil, nil)
            return
        }
        let weight =
            policy.weights[target.site] ?? (policy.weightBy == .site ? 1 : endpoints)
        exclusion =
            if let sites = policy.sites, !sites.contains(target.site) {
                .notSelected
            } else if weight == 0 {
                .noWeight
            } else if endpoints < policy.minReadyEndpoints {
                .tooFewEndpoints
            } else {
                nil
            }
        offer = exclusion == nil ? (policy.costs[target.site] ?? cost, weight) : nil
    }
}

/// What happened to connections of one failure.
private struct RecentCount: Sendable {
    private var count: UInt32 = 0
    private var last = Instant(nanoseconds: 0)

    /// What happens further apart than this belongs to different failures.
    private static let window: Duration = .seconds(10)

    mutating func add(at now: Instant) {
        if now - last > Self.window { count = 0 }
        last = now
        count &+= 1
    }

    func value(at now: Instant) -> UInt32 { count > 0 && now - last <= Self.window ? count : 0 }
}
