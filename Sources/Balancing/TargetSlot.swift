import NetworkModel

/// What a balancer remembers of one target.
struct TargetSlot: Sendable {
    var target: Target {
        didSet { if target.reach != oldValue.reach { terms = Terms(of: target, under: policy) } }
    }
    var policy: BalancingPolicy {
        didSet { terms = Terms(of: target, under: policy) }
    }
    /// What the policy makes of the target.
    private(set) var terms: Terms
    var own: UInt64 = 0
    var others: UInt64 = 0
    /// The number of the last pick; 0: never.
    var lastPicked: UInt64 = 0
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
        self.policy = policy
        terms = Terms(of: target, under: policy)
    }

    var isUsable: Bool { target.reach.isUsable && ejection == nil && terms.exclusion == nil }

    /// Where it stands in the order of a pick; nil when it takes no connection.
    func standing(at now: Instant) -> Standing? {
        guard let offer = terms.offer else { return nil }
        return Standing(
            rank: rank(at: now),
            tier: terms.tier,
            perceived: PerceivedCost(
                cost: offer.cost,
                open: own + others,
                weight: offer.weight,
                thousandths: thousandths(at: now)
            ),
            cost: offer.cost,
            lastPicked: lastPicked
        )
    }

    /// Usable targets come first, then those that serve while they terminate, then ejected ones.
    ///
    /// An ejected target whose probe is due competes as if it were usable.
    func rank(at now: Instant) -> UInt8 {
        if let ejection, !ejection.isDue(at: now) { return 2 }
        return target.reach.isLastResort ? 1 : 0
    }

    /// The part of its weight that counts.
    func thousandths(at now: Instant) -> UInt32 {
        guard let returnedAt, policy.slowStart > .zero else { return 1_000 }
        let passed = now - returnedAt
        guard passed < policy.slowStart else { return 1_000 }
        return max(100, UInt32(passed / policy.slowStart * 1_000))
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

/// Where a target stands in the order of a pick: the least wins.
///
/// Equal ones go by their sites, which is for the caller to see to.
struct Standing: Comparable, Sendable {
    let rank: UInt8
    let tier: Int
    let perceived: PerceivedCost
    let cost: PathCost
    let lastPicked: UInt64

    static func < (left: Self, right: Self) -> Bool {
        if left.rank != right.rank { return left.rank < right.rank }
        if left.tier != right.tier { return left.tier < right.tier }
        if left.perceived != right.perceived { return left.perceived < right.perceived }
        if left.cost != right.cost { return left.cost < right.cost }
        return left.lastPicked < right.lastPicked
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
