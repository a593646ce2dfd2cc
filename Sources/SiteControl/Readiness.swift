import NetworkModel

/// When a gateway is ready: a new one that clients reach before it knows the way would refuse them.
struct Readiness: Sendable {
    private enum State: Sendable {
        /// No configuration came. Can become: settling.
        case unconfigured
        /// Every Link is tried and what lies behind it is heard of. Can become: settled.
        case settling(since: Instant, end: Instant, lookAt: Instant)
        case settled
    }

    private var state = State.unconfigured
    /// How long the advertisements of neighbors may take once the links are up; they are batched for 100 ms.
    private static let advertising: Duration = .milliseconds(500)
    /// A link that is neither up nor failed by then holds nobody back any more.
    private static let patience: Duration = .seconds(3)
    private static let look: Duration = .milliseconds(100)

    var hasSettled: Bool { if case .settled = state { true } else { false } }

    /// When `look` has to be called; nil: never.
    var nextDeadline: Instant? {
        if case .settling(_, _, let lookAt) = state { lookAt } else { nil }
    }

    /// The first configuration came.
    mutating func settle(at now: Instant) {
        guard case .unconfigured = state else { return }
        state = .settling(since: now, end: now + Self.patience, lookAt: now + Self.look)
    }

    /// `isUndecided`: a Link is neither up nor has it failed.
    mutating func look(isUndecided: Bool, at now: Instant) {
        guard case .settling(let before, let end, let lookAt) = state, lookAt <= now else { return }
        // The time for advertisements begins when the last link is decided.
        let since = isUndecided ? now : before
        let isOver = now - since >= Self.advertising || now >= end
        state = isOver ? .settled : .settling(since: since, end: end, lookAt: now + Self.look)
    }
}
