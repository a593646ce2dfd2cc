import NetworkModel
import SiteConfiguration

/// What a new configuration starts and ends: only what differs is touched.
///
/// Other endpoints, heartbeats and costs end nothing: a link takes them over as it runs. Pure.
struct ConfigurationDifference: Equatable {
    /// To be dialled: new ones, and those that pin another site now.
    var dialled: [LinkConfiguration] = []
    /// Whose lanes are closed: removed ones, and those that pin another site now.
    var closed: [LinkName] = []
    /// Sites that may not dial any more: their lanes are closed at once.
    var disallowed: Set<SiteID> = []
    /// Whether this site accepts Links now; nil: as before.
    var acceptsLinks: Bool?
    var routingChanged = false
    var servicesChanged = false

    init(from old: SiteConfiguration?, to new: SiteConfiguration) {
        let before = Dictionary(
            (old?.links ?? []).map { ($0.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for link in new.links {
            guard let known = before[link.name] else {
                dialled.append(link)
                continue
            }
            if known.remoteSite != link.remoteSite {
                closed.append(link.name)
                dialled.append(link)
            }
        }
        let names = Set(new.links.map(\.name))
        closed += (old?.links ?? []).map(\.name).filter { !names.contains($0) }
        disallowed = Set((old?.allow ?? []).map(\.id)).subtracting(new.allow.map(\.id))
        if old?.acceptsLinks ?? false != new.acceptsLinks { acceptsLinks = new.acceptsLinks }
        routingChanged = Self.routing(old) != Self.routing(new)
        servicesChanged = old?.services != new.services
    }

    private struct Routing: Equatable {
        let name: String?
        let costs: [LinkName: LinkCost]
    }

    private static func routing(_ configuration: SiteConfiguration?) -> Routing {
        Routing(name: configuration?.site.name, costs: configuration?.linkCosts ?? [:])
    }
}

extension SiteConfiguration {
    /// The cost of every Link by its name.
    var linkCosts: [LinkName: LinkCost] {
        Dictionary(links.map { ($0.name, $0.cost) }, uniquingKeysWith: { first, _ in first })
    }
}
