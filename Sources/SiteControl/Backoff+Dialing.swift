import NetworkModel

extension Backoff {
    /// Between attempts to dial: 100 ms doubling to 10 s, half of it by chance; never giving up.
    static let dialing = Backoff(base: .milliseconds(100), maximum: .seconds(10), jitter: 0.5)
}
