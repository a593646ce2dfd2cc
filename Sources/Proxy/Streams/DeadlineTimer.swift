import NetworkModel

/// The one timer of a state machine: set for its next deadline.
///
/// A deadline that moves on is not followed: the timer fires at the earlier one, and is set anew. So nobody sets a timer
/// per byte. A far deadline, as that of an idle stream, has no timer at all: every stream is looked at from time to time
/// (`StreamOwner.endIfSilent`), and follows its deadline anew.
struct DeadlineTimer {
    /// Several such looks, in nanoseconds.
    private static let horizon: UInt64 = 40_000_000_000

    private var timer = TimerID.none

    /// Follows `deadline` (nil: none); `fire` is called once it may be over, and asks again afterwards.
    mutating func follow(
        _ deadline: Instant?,
        on loop: EventLoop,
        fire: @escaping (EventLoop) -> Void
    ) {
        guard let deadline, deadline.nanoseconds < loop.now.nanoseconds + Self.horizon else {
            return cancel(on: loop)
        }
        if loop.isSet(timer, by: deadline) { return }
        cancel(on: loop)
        timer = loop.schedule(at: deadline, fire)
    }

    /// It has fired.
    mutating func clear() { timer = .none }

    mutating func cancel(on loop: EventLoop) {
        if timer != .none { loop.cancel(timer) }
        timer = .none
    }
}
