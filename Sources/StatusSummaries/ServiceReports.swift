import NetworkModel
import SiteConfiguration

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

    /// Sorts out by service what `snapshots` and `proxies` say.
    static func sort(
        _ snapshots: [ProxySnapshot],
        _ proxies: [ProxyView]
    ) -> [ServiceAddress: ServiceReports] {
        var reports: [ServiceAddress: ServiceReports] = [:]
        for snapshot in snapshots {
            for service in snapshot.services {
                reports[service.service.address, default: ServiceReports()].ports.append(service)
            }
        }
        for proxy in proxies {
            for counter in proxy.counters.values {
                reports[counter.service.address, default: ServiceReports()]
                    .take(counter, of: proxy.proxy)
            }
            for record in proxy.failovers {
                reports[record.service.address, default: ServiceReports()].failovers
                    .append(ProxyFailover(proxy: proxy.proxy, record: record))
            }
        }
        return reports
    }

    /// The counters of one proxy come together.
    private mutating func take(_ counter: ServiceCounters, of proxy: ProxyID) {
        if counters.last?.proxy == proxy {
            counters[counters.count - 1].counters.append(counter)
        } else {
            counters.append(ProxyCounters(proxy: proxy, counters: [counter]))
        }
    }
}
