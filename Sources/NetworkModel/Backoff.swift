/// How long to wait after each failure in a row: twice as long as after the one before.
package struct Backoff: Sendable, Equatable {
    package let base: Duration
    package let maximum: Duration
    /// The part of a wait that is left to chance, 0...1: many must not come back at once.
    package let jitter: Double
    package private(set) var failures = 0

    package init(
        base: Duration,
        maximum: Duration,
        jitter: Double = 0
    ) {
        precondition(base > .zero && maximum >= base && (0...1).contains(jitter))
        self.base = base
        self.maximum = maximum
        self.jitter = jitter
    }

    /// The wait after one more failure.
    ///
    /// `chance` is 0..<1; a wait is never longer than `maximum`.
    package mutating func next(chance: Double) -> Duration {
        let wait = Self.wait(base, maximum, failures)
        failures += 1
        return jitter == 0 || chance == 0 ? wait : wait * (1 - jitter * chance)
    }

    /// The wait after one more failure, by the next number of `random`.
    package mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        next(chance: .random(in: 0..<1, using: &random))
    }

    package mutating func reset() { failures = 0 }

    private static func wait(
        _ base: Duration,
        _ maximum: Duration,
        _ failures: Int
    ) -> Duration {
        var wait = base
        for _ in 0..<failures {
            wait += wait
            if wait >= maximum { return maximum }
        }
        return min(wait, maximum)
    }
}

extension Duration {
    fileprivate static func * (duration: Duration, factor: Double) -> Duration {
        let (seconds, attoseconds) = duration.components
        return .seconds((Double(seconds) + Double(attoseconds) / 1e18) * factor)
    }
}
