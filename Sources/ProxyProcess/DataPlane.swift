package import NetworkModel
package import Proxy
package import ProxyContract
package import SiteControl

/// What the process gives to the data plane and asks of it: `Proxy`, or a recorder in tests.
package protocol DataPlane: Sendable {
    func apply(_ document: ConfigurationDocument)
    func reportConfigurationError(_ message: String)
    func setEndpoints(service: String, _ endpoints: [LocalEndpoint])
    func setCredentials(_ credentials: ProxyCredentials) throws(ProxyError)
    var snapshot: ProxySnapshot { get }
    func snapshot(after version: UInt64, limit: Duration) async -> ProxySnapshot
    /// The same for a reader that has `version` of the instance `proxy`: what it lacks.
    func update(after version: UInt64, of proxy: ProxyID, limit: Duration) async -> SnapshotUpdate
    var isReady: Bool { get }
    /// Brings `snapshot` and `openStreams` up to date; waits at most a second for it.
    func refresh() async
    /// Connections and streams that are open: as ingress, egress and transit.
    var openStreams: Int { get }
    /// What each neighbor site holds of the proxy.
    var neighborUsage: [NeighborUsage] { get }
    /// What is measured for metrics, as of the last `refresh`.
    var meters: ProxyMeters { get }
    /// Why connections of a service port go where they go, at the time `wall`; nil: it is not known.
    func explain(_ service: ServicePort, at wall: Timestamp) -> ServiceExplanation?
    /// The network at the time `wall`; nil: a sidecar does not know it.
    func networkMap(at wall: Timestamp) async -> NetworkMap?
    /// Measures the way to `site`, or to the one that gets the next connection.
    func trace(
        _ service: ServicePort,
        to site: SiteID?,
        at wall: Timestamp
    ) async throws(TraceRefusal) -> ServiceTrace
    /// The service ports that are known, in order.
    var servicePorts: [ServicePort] { get }
    /// Which loop has not moved for longer than `limit` though it had to; nil when all turn.
    func stall(beyond limit: Duration) -> String?
    func drain() async
    func stop() async
}

extension Proxy: DataPlane {}
