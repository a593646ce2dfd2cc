/// How a silent neighbor is noticed: down after max(misses x heartbeat, 3 x the lane's RTO).
package struct HealthParameters: Hashable, Sendable {
    package static let standard = HealthParameters(heartbeat: .milliseconds(250), misses: 3)

    package var heartbeat: Duration
    package var misses: Int

    package init(heartbeat: Duration, misses: Int) {
        self.heartbeat = heartbeat
        self.misses = misses
    }
}

/// What proxies agree to as heartbeats; the API allows less.
package enum HeartbeatLimits {
    package static let interval: ClosedRange<Duration> = .milliseconds(10) ... .seconds(60)
    /// Heartbeats in a row after which a neighbor is dead.
    package static let misses = 2...100
}
