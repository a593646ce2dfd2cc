import NetworkModel
import ProxyContract

/// What the proxies of a site say of one service address.
struct ServiceReports: Equatable, Sendable {
    /// What the gateways see, one for each gateway and port.
    var ports: [ServiceSnapshot] = []
    /// What each proxy has counted, in the order of their identities.
    var counters: [ProxyCounters] = []
    var failovers: [ProxyFailover] = []

    struct ProxyCounters: Equatable, Sendable {
        var proxy: ProxyID
        /// One for each port.
        var counters: [ServiceCounters]
    }

    /// Picks out what `site` says of `address`.
    init(_ site: SiteView, _ address: ServiceAddress) {
        ports = site.snapshots.flatMap { $0.services.part(address, by: \.service) }
        for proxy in site.proxies {
            let counted = proxy.counters(of: address)
            if !counted.isEmpty {
                counters.append(ProxyCounters(proxy: proxy.proxy, counters: counted))
            }
            failovers += proxy.failovers(of: address)
                .map { ProxyFailover(proxy: proxy.proxy, record: $0) }
        }
    }
}
