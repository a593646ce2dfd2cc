/// A point on the monotonic clock, as a value that can be stored, compared and replayed.
///
/// The pure cores take it as an argument; none of them can ask for "now".
package struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since an arbitrary start that is fixed for the life of a process.
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Saturates at both ends instead of wrapping.
    package static func + (instant: Self, duration: Duration) -> Self {
        let delta = duration.wholeNanoseconds
        if delta >= 0 {
            let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(delta))
            return Instant(nanoseconds: overflow ? .max : sum)
        }
        let (rest, overflow) = instant.nanoseconds.subtractingReportingOverflow(delta.magnitude)
        return Instant(nanoseconds: overflow ? 0 : rest)
    }

    /// The time from `earlier` to `later`; negative when they are the other way round.
    package static func - (later: Self, earlier: Self) -> Duration {
        let difference =
            later >= earlier
            ? Int64(clamping: later.nanoseconds - earlier.nanoseconds)
            : -Int64(clamping: earlier.nanoseconds - later.nanoseconds)
        // Several times as fast as `.nanoseconds`, and there are some for every connection.
        return Duration(attoseconds: Int128(difference) * 1_000_000_000)
    }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Duration {
    /// The duration in nanoseconds, clamped to what 64 bits hold (292 years).
    package var wholeNanoseconds: Int64 {
        let attoseconds = attoseconds
        // To divide more than 18 seconds takes several times as long.
        if attoseconds >= 0, attoseconds <= Int128(UInt64.max) {
            return Int64(UInt64(truncatingIfNeeded: attoseconds) / 1_000_000_000)
        }
        return Int64(clamping: attoseconds / 1_000_000_000)
    }
}
