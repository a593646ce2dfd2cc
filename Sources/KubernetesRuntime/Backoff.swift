/// How long to wait after each failure in a row: twice as long as after the one before.
package struct Backoff: Sendable, Equatable {
    package let base: Duration
    package let maximum: Duration
    /// The part of a wait that is left to chance, 0...1: many clients must not come back at once.
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

    /// For connections to the API server: 0.8 s doubling to 30 s, half of it by chance.
    package static let server = Backoff(
        base: .milliseconds(800),
        maximum: .seconds(30),
        jitter: 0.5
    )

    /// For a server that takes no connection at all: asking costs it nothing, and being back early matters.
    package static let absence = Backoff(
        base: .milliseconds(800),
        maximum: .seconds(6),
        jitter: 0.5
    )

    /// For one item of a work queue: 5 ms doubling to 30 s, so that whatever the server refused for a while goes on soon
    /// after it takes it again.
    package static let item = Backoff(
        base: .milliseconds(5),
        maximum: .seconds(30),
        jitter: 0.2
    )

    /// The wait after one more failure.
    ///
    /// `chance` is 0..<1; a wait is never longer than `maximum`.
    package mutating func next(chance: Double = .random(in: 0..<1)) -> Duration {
        let wait = Self.wait(base, maximum, failures)
        failures += 1
        return jitter == 0 || chance == 0 ? wait : wait * (1 - jitter * chance)
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
