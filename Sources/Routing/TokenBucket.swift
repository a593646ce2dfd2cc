import NetworkModel

/// Lets events through at a rate, after a burst.
struct TokenBucket: Sendable {
    private let interval: Duration
    private let burst: Int
    private var tokens: Int
    private var refilled = Instant(nanoseconds: 0)

    init(perSecond rate: Int, burst: Int) {
        interval = .nanoseconds(1_000_000_000 / rate)
        self.burst = burst
        tokens = burst
    }

    /// Takes a token; false when there is none before `nextToken`.
    mutating func take(at now: Instant) -> Bool {
        refill(at: now)
        guard tokens > 0 else { return false }
        tokens -= 1
        return true
    }

    private mutating func refill(at now: Instant) {
        while tokens < burst, now >= refilled + interval {
            let rest = now - refilled
            let count = min(
                Int64(burst - tokens),
                rest.wholeNanoseconds / interval.wholeNanoseconds
            )
            tokens += Int(count)
            refilled = refilled + interval * Int(count)
        }
        if tokens == burst { refilled = now }
    }

    /// True when nothing was taken for so long that the whole burst is there again.
    func isFull(at now: Instant) -> Bool {
        now >= refilled + interval * (burst - tokens)
    }

    /// When a token is there again, as of the last `take`.
    var nextToken: Instant { refilled + interval }
}
