import NetworkModel
import ProxyContract

/// The network by sites and Links, of which gateways know the parts.
struct NetworkDrawing {
    let map: NetworkMap
    /// The one that was asked comes first.
    let sites: [Site]
    let links: [Link]

    struct Site: Equatable {
        let name: SiteName
        var gateways = 0
        var draining = 0
        /// The most that one of its gateways advertises.
        var services = 0
        /// The cheapest to one of its gateways; nil: out of reach.
        var best: NetworkMap.Route?
    }

    struct Link: Equatable {
        let name: LinkName
        let from: SiteID
        let to: SiteID
        var cost: LinkCost?
        /// Pairs of gateways that it joins.
        var pairs = 0
        var pairsUp = 0
    }

    init(_ map: NetworkMap) {
        self.map = map
        sites = Self.sites(map)
        links = Self.links(map)
    }

    private static func sites(_ map: NetworkMap) -> [Site] {
        var order: [SiteID] = []
        var sites: [SiteID: Site] = [:]
        for gateway in map.gateways {
            let id = gateway.site.id
            if sites[id] == nil { order.append(id) }
            var site = sites[id] ?? Site(name: gateway.site)
            site.gateways += 1
            if gateway.isDraining { site.draining += 1 }
            site.services = max(site.services, gateway.services)
            if let route = gateway.routes.first, site.best.map({ route.cost < $0.cost }) ?? true {
                site.best = route
            }
            sites[id] = site
        }
        return order.compactMap { sites[$0] }
    }

    private static func links(_ map: NetworkMap) -> [Link] {
        struct Key: Hashable {
            let name: LinkName
            let from: SiteID
            let to: SiteID
        }
        var links: [Key: Link] = [:]
        for edge in map.edges {
            guard let name = edge.link else { continue }
            let key = Key(name: name, from: edge.from.site, to: edge.to.site)
            var link = links[key] ?? Link(name: name, from: key.from, to: key.to)
            link.pairs += 1
            if edge.isUp { link.pairsUp += 1 }
            link.cost = link.cost ?? edge.cost
            links[key] = link
        }
        return links.values.sorted { ($0.from, $0.name, $0.to) < ($1.from, $1.name, $1.to) }
    }

    /// As its site calls itself, else by its identity.
    func siteName(_ id: SiteID) -> String {
        sites.first { $0.name.id == id }?.name.displayName ?? id.text
    }
}

extension NetworkDrawing.Link {
    /// `up`, `down`, or how many pairs of gateways it joins of those that speak of it.
    var state: String {
        switch pairsUp {
        case 0: "down"
        case pairs: "up"
        default: "up (\(pairsUp) of \(pairs))"
        }
    }
}

// MARK: - Text

extension NetworkDrawing {
    /// Two tables: sites and Links.
    var text: String {
        var text = "The network as gateway \(map.proxy) saw it at \(map.time)\n\n"
        text += siteTable.text
        if !links.isEmpty { text += "\n" + linkTable.text }
        return text
    }

    private var siteTable: Table {
        var table = Table(["SITE", "COST", "ROUTE", "GATEWAYS", "SERVICES", "ID"])
        for site in sites {
            table.add([
                site.name.displayName, site.best.map { "\($0.cost)" },
                site.best.map { map.sitesPassed($0) } ?? "out of reach",
                site.draining == 0
                    ? "\(site.gateways)" : "\(site.gateways) (\(site.draining) draining)",
                "\(site.services)", site.name.id.text,
            ])
        }
        return table
    }

    private var linkTable: Table {
        var table = Table(["LINK", "FROM", "TO", "COST", "STATE"])
        for link in links {
            table.add([
                link.name.text, siteName(link.from), siteName(link.to),
                link.cost.map { "\($0)" }, link.state,
            ])
        }
        return table
    }
}

extension NetworkMap {
    /// Every way to these gateways, a line each.
    func text(of gateways: [Gateway]) -> String {
        var table = Table(["SITE", "COST", "VIA", "ROUTE", "GATEWAY"])
        for gateway in gateways {
            let name = gateway.site.displayName + (gateway.isDraining ? " (draining)" : "")
            if gateway.routes.isEmpty {
                table.add([name, nil, nil, "out of reach", "\(gateway.proxy)"])
            }
            for route in gateway.routes {
                let via = route.hops.isEmpty ? "-" : route.via.map { "link/\($0)" } ?? "mesh"
                table.add([
                    name, "\(route.cost)", via, sitesPassed(route), "\(gateway.proxy)",
                ])
            }
        }
        return table.text
    }

    /// The sites that a route passes, without repetitions.
    func sitesPassed(_ route: Route) -> String {
        var names: [String] = []
        for hop in route.hops {
            let name = gateways.first { $0.site.id == hop.site }?.site.displayName ?? hop.site.text
            if names.last != name { names.append(name) }
        }
        return names.isEmpty ? "local" : names.joined(separator: " > ")
    }
}
