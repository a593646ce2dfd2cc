import Balancing
package import NetworkModel
import ProxyContract

/// Why nothing was measured.
package enum TraceRefusal: Error, CustomStringConvertible {
    case unknownService
    /// Another one is under way.
    case busy
    /// The site does not serve the service, as far as is known here.
    case unknownSite(SiteID)
    /// No site takes a connection.
    case noTarget
    /// No way leads to the site.
    case noWay(SiteID)
    /// The loop did not answer.
    case silent

    package var description: String {
        switch self {
        case .unknownService: "this proxy does not know the service"
        case .busy: "another trace is under way: try again in a moment"
        case .unknownSite(let site): "site \(site) does not serve it"
        case .noTarget: "no site takes a connection: see tieline explain"
        case .noWay(let site): "no way leads to site \(site)"
        case .silent: "the proxy is too busy"
        }
    }
}

/// The way that a trace measures.
struct TracedWay {
    let site: SiteID
    let cost: PathCost?
    /// Empty for a server of the own site.
    let route: [ProxyID]
}

extension SharedService.Account {
    /// The first way to `site`, or to the site that is next to get a connection.
    func way(to site: SiteID?, from own: SiteID) throws(TraceRefusal) -> TracedWay {
        let found =
            if let site { ranking.first { $0.target.site == site } } else {
                ranking.first { $0.offer != nil }
            }
        guard let target = found?.target else {
            if let site { throw .unknownSite(site) }
            throw .noTarget
        }
        guard target.site != own else {
            return TracedWay(site: own, cost: target.reach.cost, route: [])
        }
        guard let route = ways[target.site]?.all.first else { throw .noWay(target.site) }
        return TracedWay(site: target.site, cost: target.reach.cost, route: route)
    }
}

extension ServiceTrace {
    init(
        _ service: ServicePort,
        over way: TracedWay,
        _ result: Tracer.Result,
        as own: ProxyID,
        names: [SiteID: SiteName],
        at wall: Timestamp
    ) {
        func name(_ site: SiteID) -> SiteName { names[site] ?? SiteName(id: site) }
        self.init(
            proxy: own,
            site: name(own.site),
            service: service,
            time: wall,
            target: name(way.site),
            pathCost: way.cost,
            hops: zip(way.route, result.hops).map { proxy, answer in
                Hop(proxy: proxy, site: name(proxy.site), answer: answer)
            },
            stream: result.stream
        )
    }
}
