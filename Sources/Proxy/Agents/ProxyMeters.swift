package import NetworkModel
package import Telemetry

/// What is measured for metrics alone: it would change the snapshot all the time.
package struct ProxyMeters: Sendable {
    /// By service port and site.
    package var services: [ServicePort: [SiteID: TargetMeter]] = [:]
    package var links: [LinkMeter] = []
    /// Of each loop.
    package var loops: [LoopMeter] = []
    /// Bytes that the proxy plans with, and uses of them; nil: nothing limits it.
    package var memoryBudget: UInt64?
    package var memoryUsed: UInt64 = 0

    package init() {}
}

/// How one loop stands.
package struct LoopMeter: Sendable {
    /// Seconds by which a timer was late, five times a second.
    package var lag = Distribution()
    package var held = HeldBytes()

    package init() {}
}
