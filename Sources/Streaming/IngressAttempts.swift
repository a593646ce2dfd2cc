package import Balancing
package import NetworkModel

/// What a client's connection has met so far.
struct AttemptHistory {
    /// How often a target may say no.
    static let failureLimit: UInt8 = 5

    /// Until when another target is tried; set anew when a target that had taken the connection loses it.
    var deadline: Instant
    /// Targets that said no.
    var refused: [SiteID] = []
    /// Targets that could not be asked: tried again when no other is left.
    var unreached: [SiteID] = []
    /// When a target took the connection last.
    var openedAt: Instant?
    /// How often a target said no, or took the connection and lost it; not beyond the limit.
    private(set) var failures: UInt8 = 0
    /// How often routing was waited for, as far as it matters.
    var pauses: UInt8 = 0

    init(deadline: Instant) { self.deadline = deadline }

    /// The first wait for routing to learn of a loss; doubles.
    private static let pause: Duration = .milliseconds(20)

    /// How long to wait before those that could not be reached are tried again; nil when there are none.
    mutating func takePause() -> Duration? {
        guard !unreached.isEmpty else { return nil }
        unreached = []
        defer { pauses = min(pauses + 1, 4) }
        return Self.pause * (1 << Int(pauses))
    }

    /// A site with many servers may lose it at each of them.
    mutating func countFailure() { failures = min(failures + 1, Self.failureLimit) }

    /// A target that had taken the connection loses it, and nobody could tell: another may take it.
    ///
    /// True when that comes so soon after it was taken that it is an answer to the attempt. Else what the attempts before
    /// had met is long past, and counts no more.
    mutating func beginAnew(_ timeouts: ServiceTimeouts, at now: Instant) -> Bool {
        deadline = now + timeouts.connect * 2
        countFailure()
        if wasOpenedJustNow(timeouts, at: now) { return true }
        failures = 0
        pauses = 0
        refused = []
        unreached = []
        return false
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
