package import NetworkModel

/// What a gateway knows of the network at one moment, for people.
///
/// A copy of the routing instance's values: its lists are worked out by whoever reads them, not by the loop that routes.
package struct NetworkView: Sendable {
    let origin: ProxyID
    let ownEdges: [LSAEdge]
    let database: LSDB
    let paths: Paths

    package struct Gateway: Equatable, Sendable {
        package var proxy: ProxyID
        /// As its site names itself; empty when it does not.
        package var siteName: String
        package var isDraining: Bool
        package var services: Int
        /// The equal paths of the least cost; none when it is out of reach, and one without hops to this gateway itself.
        package var routes: [Route]
    }

    package struct Route: Equatable, Sendable {
        package var cost: PathCost
        package var hops: [ProxyID]
        /// The edge to the first hop; nil when there is none.
        package var via: EdgeName?
    }

    package struct Edge: Hashable, Sendable {
        package var name: EdgeName
        /// The gateway of the site that dials; within a site the lower one.
        package var from: ProxyID
        package var to: ProxyID
        /// Nil while the side that dials has not said it.
        package var cost: LinkCost?
        /// Both ends name it: it carries connections.
        package var isUp: Bool
    }

    /// Every gateway that is known, this one first.
    package var gateways: [Gateway] {
        ([origin] + database.origins.filter { $0 != origin }).map { proxy in
            let advertisements = database.advertisements(of: proxy)
            return Gateway(
                proxy: proxy,
                siteName: advertisements.first?.displayName ?? "",
                isDraining: advertisements.first?.overload ?? false,
                services: advertisements.reduce(0) { $0 + $1.services.count },
                routes: routes(to: proxy)
            )
        }
    }

    private func routes(to proxy: ProxyID) -> [Route] {
        guard proxy != origin else { return [Route(cost: .zero, hops: [], via: nil)] }
        return (paths.equal(to: proxy) ?? []).map {
            Route(cost: $0.cost, hops: $0.hops, via: $0.via)
        }
    }

    /// Every edge that an end of it names, in order.
    package var edges: [Edge] {
        var found: [Ends: (namedBy: Set<ProxyID>, cost: LinkCost?)] = [:]
        for proxy in Set(database.origins).union([origin]) {
            let own =
                proxy == origin ? ownEdges : database.advertisements(of: proxy).flatMap(\.edges)
            for edge in own {
                guard let ends = Ends(edge, of: proxy) else { continue }
                found[ends, default: ([], nil)].namedBy.insert(proxy)
                if ends.from == proxy { found[ends]?.cost = edge.cost }
            }
        }
        return found.sorted { $0.key < $1.key }.map { ends, said in
            Edge(
                name: ends.name,
                from: ends.from,
                to: ends.to,
                cost: said.cost,
                isUp: said.namedBy.count == 2
            )
        }
    }

    /// Which edge, whoever names it.
    private struct Ends: Hashable, Comparable {
        let name: EdgeName
        let from: ProxyID
        let to: ProxyID

        /// Nil for what no path could use: the mesh of two sites, or a Link of a third one.
        init?(_ edge: LSAEdge, of proxy: ProxyID) {
            let isFirst: Bool
            switch edge.name {
            case .mesh:
                guard proxy.site == edge.neighbor.site else { return nil }
                isFirst = proxy < edge.neighbor
            case .link(let dialer, _):
                guard proxy.site != edge.neighbor.site,
                    dialer == proxy.site || dialer == edge.neighbor.site
                else { return nil }
                isFirst = dialer == proxy.site
            }
            name = edge.name
            (from, to) = isFirst ? (proxy, edge.neighbor) : (edge.neighbor, proxy)
        }

        static func < (left: Self, right: Self) -> Bool {
            (left.name, left.from, left.to) < (right.name, right.from, right.to)
        }
    }
}

extension RoutingInstance {
    /// What is known of the network now.
    package var view: NetworkView {
        NetworkView(origin: origin, ownEdges: ownEdges, database: database, paths: ways.common)
    }
}
