import NetworkModel
import SiteConfiguration

/// What a new configuration asks of running links: only what differs is touched.
///
/// Pure. A configuration that differs by costs only gives no link to touch at all.
struct ConfigurationDifference: Equatable {
    /// To be dialled: new ones, and those that pin another site now.
    var dialled: [LinkConfiguration] = []
    /// Whose lanes are closed: removed ones, and those that pin another site now.
    var closed: [LinkName] = []
    /// Whose next attempts use other endpoints; their lanes stay.
    var readdressed: [LinkConfiguration] = []
    /// Whose lanes get other heartbeats, without being redialled.
    var retimed: [LinkConfiguration] = []
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
                continue
            }
            if known.endpoints != link.endpoints { readdressed.append(link) }
            if known.health != link.health { retimed.append(link) }
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
