import NetworkModel
import ProxyContract

/// What a new configuration starts and ends: only what differs is touched.
///
/// Other endpoints, heartbeats and costs end nothing: a link takes them over as it runs. Pure.
struct ConfigurationDifference: Equatable {
    /// To be dialed: new ones, and those that pin none of the sites that they did.
    var dialed: [LinkConfiguration] = []
    /// Whose lanes are closed: removed ones, and those that pin none of the sites that they did.
    var closed: [LinkName] = []
    /// Under another name now, with the same site and endpoints: others take the place of their lanes.
    var renamed: [LinkName] = []
    /// Service ports that were taken out, not renamed: their connections are reset.
    var endedServices: Set<ServicePort> = []
    /// Sites that may not dial any more: their lanes are closed at once.
    var disallowed: Set<SiteID> = []
    /// Whether this site accepts Links now; nil: as before.
    var acceptsLinks: Bool?
    var routingChanged = false
    var services: ServiceDifference

    init(from old: ConfigurationDocument?, to new: ConfigurationDocument) {
        self.init(
            from: old?.configuration,
            to: new.configuration,
            services: ServiceDifference(from: old, to: new)
        )
    }

    /// `services`: what differs in the services, which may be elsewhere than in the configurations.
    init(
        from old: SiteConfiguration?,
        to new: SiteConfiguration,
        services: ServiceDifference
    ) {
        self.services = services
        let before = Dictionary(
            (old?.links ?? []).map { ($0.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for link in new.links {
            guard let known = before[link.name] else {
                dialed.append(link)
                continue
            }
            if !known.leadsToSite(of: link) {
                closed.append(link.name)
                dialed.append(link)
            }
        }
        let names = Set(new.links.map(\.name))
        for link in old?.links ?? [] where !names.contains(link.name) {
            let isRenamed = dialed.contains {
                $0.leadsToSite(of: link) && $0.endpoints == link.endpoints
            }
            if isRenamed { renamed.append(link.name) } else { closed.append(link.name) }
        }
        endedServices = Self.ended(services.before, services.after)
        disallowed = Set((old?.allow ?? []).map(\.id)).subtracting(new.allow.map(\.id))
        if old?.acceptsLinks ?? false != new.acceptsLinks { acceptsLinks = new.acceptsLinks }
        routingChanged = Self.routing(old) != Self.routing(new)
    }

    /// A port is the same one under its name, or by its address and number under another; services that stayed as they were
    /// have no address of one that did not.
    private static func ended(
        _ old: [ServiceConfiguration],
        _ new: [ServiceConfiguration]
    ) -> Set<ServicePort> {
        var names: Set<ServicePort> = []
        var numbers: [ServiceAddress: Set<UInt16>] = [:]
        for service in new {
            for port in service.ports {
                names.insert(ServicePort(address: service.address, port: port.name))
                numbers[service.address, default: []].insert(port.port)
            }
        }
        var ended: Set<ServicePort> = []
        for service in old {
            for port in service.ports
            where numbers[service.address]?.contains(port.port) != true {
                ended.insert(ServicePort(address: service.address, port: port.name))
            }
        }
        return ended.subtracting(names)
    }

    private struct Routing: Equatable {
        let name: String?
        let costs: [LinkName: LinkCost]
        let serviceCosts: [LinkName: [ServiceAddress: LinkCost]]
        let bounds: [AutoCost.Bounds?]
    }

    private static func routing(_ configuration: SiteConfiguration?) -> Routing {
        Routing(
            name: configuration?.site.name,
            costs: configuration?.linkCosts ?? [:],
            serviceCosts: configuration?.serviceCosts ?? [:],
            bounds: configuration?.links.map(\.autoCost) ?? []
        )
    }
}

extension SiteConfiguration {
    /// The cost of every Link by its name.
    var linkCosts: [LinkName: LinkCost] {
        Dictionary(links.map { ($0.name, $0.cost) }, uniquingKeysWith: { first, _ in first })
    }

    /// What Links cost for single services, by their names; those that say so.
    var serviceCosts: [LinkName: [ServiceAddress: LinkCost]] {
        links.reduce(into: [:]) { costs, link in
            if !link.serviceCosts.isEmpty { costs[link.name] = link.serviceCosts }
        }
    }
}
