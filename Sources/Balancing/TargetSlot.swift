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
    /// Connections that were reset, and those that went on over another path.
    private var lost = RecentCount()
    private var resumed = RecentCount()

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

    mutating func lose(at now: Instant) { lost.add(at: now) }
    mutating func resume(at now: Instant) { resumed.add(at: now) }

    func recentlyLost(at now: Instant) -> UInt32 { lost.value(at: now) }
    func recentlyResumed(at now: Instant) -> UInt32 { resumed.value(at: now) }
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
