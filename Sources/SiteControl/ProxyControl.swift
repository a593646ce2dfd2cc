package import NetworkModel
package import ProxyContract
package import Routing

/// What decides for one proxy, as its shell sees it: a gateway's or a sidecar's.
package protocol ProxyControl: Sendable {
    /// When `handle(.deadline)` has to be called at the latest.
    var nextDeadline: Instant? { get }
    var drainParameters: DrainParameters { get }

    /// Takes one thing that happened, and gives everything that has to be done about it, in order, before the next input.
    ///
    /// `now` is the monotonic clock, by which everything is timed; `wall` is the time of day.
    mutating func handle(_ input: ControlInput, at now: Instant, wall: Timestamp) -> [ControlOutput]

    /// What is shown now; of services those are looked at of which something was said since.
    mutating func snapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot
    /// The same, with every service looked at.
    mutating func wholeSnapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot

    /// The network as routing knows it; nil for a sidecar, which knows the ways of its own services only.
    var network: NetworkView? { get }
}

extension GatewayControl: ProxyControl {
    package var network: NetworkView? { routing.view }
}

extension SidecarControl: ProxyControl {
    package var network: NetworkView? { nil }
}
