import NetworkModel
import ProxyContract
import Routing

extension NetworkMap {
    /// Puts what routing knows into words.
    init(_ view: NetworkView, of own: ProxyID, at wall: Timestamp) {
        let known = view.gateways
        self.init(
            proxy: own,
            site: SiteName(id: own.site, name: known.first?.siteName ?? ""),
            time: wall,
            gateways: known.map(Gateway.init),
            edges: view.edges.map(Edge.init)
        )
    }
}

extension NetworkMap.Gateway {
    fileprivate init(_ gateway: NetworkView.Gateway) {
        self.init(
            proxy: gateway.proxy,
            site: SiteName(id: gateway.proxy.site, name: gateway.siteName),
            isDraining: gateway.isDraining,
            services: gateway.services,
            routes: gateway.routes.map {
                .init(cost: $0.cost, via: $0.via?.link, hops: $0.hops)
            }
        )
    }
}

extension NetworkMap.Edge {
    fileprivate init(_ edge: NetworkView.Edge) {
        self.init(
            link: edge.name.link,
            from: edge.from,
            to: edge.to,
            cost: edge.cost,
            isUp: edge.isUp
        )
    }
}

extension EdgeName {
    /// Nil for the mesh of a site.
    fileprivate var link: LinkName? {
        if case .link(_, let name) = self { name } else { nil }
    }
}
