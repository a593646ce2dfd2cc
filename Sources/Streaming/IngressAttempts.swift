package import Balancing
package import NetworkModel

/// What a client's connection has met so far.
struct AttemptHistory {
    /// How often a target may say no.
    static let failureLimit: UInt8 = 5

    /// When the client came.
    let began: Instant
    private var opened = ShortInstant()
    /// Nil for most connections, for good.
    private(set) var setbacks: Setbacks?

    init(began: Instant) { self.began = began }

    /// What went wrong has memory of its own.
    final class Setbacks {
        /// Of targets that had taken the connection, the last loss.
        var lostAt = ShortInstant()
        /// Targets that said no.
        var refused: [SiteID] = []
        /// Targets that could not be asked: tried again when no other is left.
        var unreached: [SiteID] = []
        /// How often a target said no, or took the connection and lost it; not beyond the limit.
        var failures: UInt8 = 0
        /// How often routing was waited for, as far as it matters.
        var pauses: UInt8 = 0
    }

    private mutating func noteSetback(_ change: (Setbacks) -> Void) {
        let known = setbacks ?? Setbacks()
        change(known)
        setbacks = known
    }

    /// When a target took the connection last.
    var openedAt: Instant? {
        get { opened.instant }
        set { opened.instant = newValue }
    }

    /// Targets that are not picked.
    var excluded: [SiteID] { setbacks.map { $0.refused + $0.unreached } ?? [] }

    mutating func refused(by site: SiteID) {
        noteSetback { $0.refused.append(site) }
        countFailure()
    }

    mutating func didNotReach(_ site: SiteID) { noteSetback { $0.unreached.append(site) } }

    /// Whether another target is tried: within a while from the beginning, and from each time a target that had taken the
    /// connection loses it, until too many have said no.
    func mayTryMore(_ timeouts: ServiceTimeouts, at now: Instant) -> Bool {
        (setbacks?.failures ?? 0) < Self.failureLimit && hasTime(timeouts, at: now)
    }

    func hasTime(_ timeouts: ServiceTimeouts, at now: Instant) -> Bool {
        let connect = timeouts.connect
        return now < (setbacks?.lostAt.instant ?? began) + (connect + connect)
    }

    /// The first wait for routing to learn of a loss; doubles.
    private static let pause: Duration = .milliseconds(20)

    /// How long to wait before those that could not be reached are tried again; nil when there are none.
    mutating func takePause() -> Duration? {
        guard let setbacks, !setbacks.unreached.isEmpty else { return nil }
        setbacks.unreached = []
        defer { setbacks.pauses = min(setbacks.pauses + 1, 4) }
        return Self.pause * (1 << Int(setbacks.pauses))
    }

    /// A site with many servers may lose it at each of them.
    private mutating func countFailure() {
        noteSetback { $0.failures = min($0.failures + 1, Self.failureLimit) }
    }

    /// A target that had taken the connection loses it, and nobody could tell: another may take it.
    ///
    /// True when that comes so soon after it was taken that it is an answer to the attempt. Else what the attempts before
    /// had met is long past, and counts no more.
    mutating func beginAnew(_ timeouts: ServiceTimeouts, at now: Instant) -> Bool {
        let isAnswer = wasOpenedJustNow(timeouts, at: now)
        if isAnswer { countFailure() } else { setbacks = nil }
        noteSetback { $0.lostAt.instant = now }
        return isAnswer
    }

    /// Whether what the target does now is an answer to the attempt to connect.
    func wasOpenedJustNow(_ timeouts: ServiceTimeouts, at now: Instant) -> Bool {
        openedAt.map { now - $0 <= timeouts.connect } ?? false
    }
}

/// A server of this site is asked.
package struct LocalAttempt: Hashable, Sendable {
    let pick: Pick
    /// Servers that took the connection in this attempt and reset it at once.
    var resetBy: [Endpoint] = []
}

/// The ways to a target that are not tried again for this pick.
package struct Tried: Hashable, Sendable {
    /// They were tried.
    var routes: [[ProxyID]] = []
    /// Gateways of the target that take nothing for this service.
    var gateways: [ProxyID] = []

    package init() {}

    /// Those of `ways` that are left out.
    package func excluded(of ways: Ways) -> [[ProxyID]] {
        guard !gateways.isEmpty else { return routes }
        return routes + ways.all.filter { $0.last.map(gateways.contains) ?? false }
    }
}

/// The way to a target is looked for.
package struct Search: Hashable, Sendable {
    /// What it means that no way is left.
    enum Otherwise: Hashable, Sendable {
        /// The target could not be asked.
        case unreachable
        /// The target did not take it, and that speaks against the target.
        case refused(FailoverReason)
        /// Those gateways that could be asked are about to end.
        case draining
        /// Those that were not waited for, because others were left, are asked for as long as it takes.
        case patiently
    }

    let pick: Pick
    var tried = Tried()
    var otherwise = Otherwise.unreachable
}

/// OPEN was sent, and the answer is waited for.
package struct Attempt: Hashable, Sendable {
    let pick: Pick
    let way: WayPick
    var tried: Tried
    let askedAt: Instant
    /// Until when.
    let limit: Instant
    /// Other ways were left, and this one is not known to lead anywhere.
    let isEarly: Bool
}
