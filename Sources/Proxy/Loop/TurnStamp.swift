import NetworkModel
import Synchronization

/// When a loop last had to move: the beginning of the turn that it is in, or the end of its wait.
///
/// Written by the loop, read by whoever watches it, from any thread.
final class TurnStamp: Sendable {
    /// Nanoseconds of the monotonic clock; the greatest number while nothing is due.
    private let due = Atomic(UInt64.max)

    /// A turn begins.
    func begin(at now: Instant) { due.store(now.nanoseconds, ordering: .relaxed) }

    /// The loop waits for something to happen, at the longest until `deadline`.
    func wait(until deadline: Instant?) {
        due.store(deadline?.nanoseconds ?? .max, ordering: .relaxed)
    }

    /// For how long the loop has not moved though it should; nil when it is not late.
    func lateness(at now: Instant) -> Duration? {
        let due = due.load(ordering: .relaxed)
        guard due < now.nanoseconds else { return nil }
        return now - Instant(nanoseconds: due)
    }
}
