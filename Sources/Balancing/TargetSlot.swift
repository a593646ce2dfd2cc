import NetworkModel

/// What a balancer remembers of one target.
struct TargetSlot: Sendable {
    var target: Target
    var own: UInt64 = 0
    var others: UInt64 = 0
    /// The number of the last pick; 0: never.
    var lastPicked: UInt64 = 0
    /// How often it was picked; wraps.
    var turns: UInt64 = 0
    var ejection: Ejection<FailoverReason>?
    /// Since when routing does not name the target any more.
    var goneSince: Instant?
    private var lostCount: UInt32 = 0
    private var lostAt = Instant(nanoseconds: 0)

    /// Losses further apart than this belong to different failures.
    private static let lossWindow: Duration = .seconds(10)

    /// How long a target that went away may come back as a failback.
    static let memory: Duration = .seconds(600)

    init(_ target: Target) { self.target = target }

    var isUsable: Bool { target.reach.isUsable && ejection == nil }

    /// Nil when the target takes no connection.
    var perceived: PerceivedCost? {
        target.reach.offer.map {
            PerceivedCost(cost: $0.cost, open: own + others, weight: $0.endpoints)
        }
    }

    /// Usable targets come first, then those that serve while they terminate, then ejected ones.
    ///
    /// An ejected target whose probe is due competes as if it were usable.
    func rank(at now: Instant) -> Int {
        if let ejection, !ejection.isDue(at: now) { return 2 }
        return target.reach.isLastResort ? 1 : 0
    }

    mutating func lose(at now: Instant) {
        if now - lostAt > Self.lossWindow { lostCount = 0 }
        lostAt = now
        lostCount &+= 1
    }

    func recentlyLost(at now: Instant) -> UInt32 {
        lostCount > 0 && now - lostAt <= Self.lossWindow ? lostCount : 0
    }
}
