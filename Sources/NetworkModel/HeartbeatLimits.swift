/// What proxies agree to as heartbeats, whoever asks for it; the API allows less.
package enum HeartbeatLimits {
    package static let interval: ClosedRange<Duration> = .milliseconds(10) ... .seconds(60)
    /// Heartbeats in a row after which a neighbor is dead.
    package static let misses = 2...100
}
