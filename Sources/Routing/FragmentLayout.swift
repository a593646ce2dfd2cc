import NetworkModel

/// Decides which fragment of the advertisement names which edge, service cost, load and service, and keeps to it.
///
/// What is advertised stays in its fragment for as long as it is advertised, and what is new goes where there is room. Were
/// everything packed anew, one more edge would push others from a fragment into the next; whoever hears the first of the two
/// before the second would believe for a moment that they are gone.
struct FragmentLayout: Sendable {
    private enum Entry: Hashable {
        case edge(ProxyID, EdgeName)
        case cost(LinkName, ServiceAddress)
        case load(ServicePort)
        case service(ServicePort)

        /// An upper bound of its encoding.
        var bytes: Int {
            switch self {
            case .edge(_, let name): 70 + name.description.utf8.count
            // Each with its Link's name, for the case that it is the only one of that Link.
            case .cost(let link, let service):
                140 + link.text.utf8.count + service.text.utf8.count
            case .load(let service): 70 + service.description.utf8.count
            case .service(let service): 8 + service.description.utf8.count
            }
        }

        /// An upper bound of the edges that it is written as.
        var edges: Int {
            switch self {
            case .edge, .load: 1
            case .cost: 2
            case .service: 0
            }
        }
    }

    private struct Load {
        var bytes = 0
        var edges = 0
        var services = 0

        func hasRoom(for entry: Entry) -> Bool {
            let isFull =
                switch entry {
                case .edge, .cost, .load: edges + entry.edges > FragmentLayout.edges
                case .service: services == RoutingLimits.servicesPerFragment
                }
            return !isFull && bytes + entry.bytes <= FragmentLayout.fragmentBytes
        }

        mutating func add(_ entry: Entry) {
            bytes += entry.bytes
            edges += entry.edges
            if case .service = entry { services += 1 }
        }
    }

    private var places: [Entry: Int] = [:]

    /// Bytes of edges and services per fragment: leaves room for the header and the certificates.
    private static let fragmentBytes = 40_000
    /// Predecessors, service costs and loads are written among the edges.
    private static let edges = RoutingLimits.edgesPerFragment - RoutingLimits.predecessors

    /// At least one LSA, and at most `RoutingLimits.fragmentsPerOrigin`: what does not fit any more is left out.
    mutating func fragments(
        of origin: ProxyID,
        edges: [LSAEdge],
        serviceCosts: [LSAServiceCost] = [],
        loads: [LSALoad] = [],
        services: [LSAService]
    ) -> [LSA] {
        let (edges, services) = (edges.sorted(), services.sorted { $0.service < $1.service })
        let (costs, loads) = (serviceCosts.sorted(), loads.sorted { $0.service < $1.service })
        arrange(
            edges.map(Self.entry) + costs.map(Self.entry) + services.map(Self.entry)
                + loads.map(Self.entry)
        )
        let count = (places.values.max() ?? 0) + 1
        var fragments = [LSA](repeating: LSA(origin: origin, sequence: 0, issued: 0), count: count)
        for edge in edges {
            if let place = places[Self.entry(edge)] { fragments[place].edges.append(edge) }
        }
        for cost in costs {
            if let place = places[Self.entry(cost)] { fragments[place].serviceCosts.append(cost) }
        }
        for load in loads {
            if let place = places[Self.entry(load)] { fragments[place].loads.append(load) }
        }
        for service in services {
            if let place = places[Self.entry(service)] { fragments[place].services.append(service) }
        }
        return fragments
    }

    private static func entry(_ edge: LSAEdge) -> Entry { .edge(edge.neighbor, edge.name) }
    private static func entry(_ cost: LSAServiceCost) -> Entry { .cost(cost.link, cost.service) }
    private static func entry(_ load: LSALoad) -> Entry { .load(load.service) }
    private static func entry(_ service: LSAService) -> Entry { .service(service.service) }

    /// Keeps the places of what is there still, and finds one for what is new.
    private mutating func arrange(_ entries: [Entry]) {
        let wanted = Set(entries)
        places = places.filter { wanted.contains($0.key) }
        var loads = [Load](repeating: Load(), count: RoutingLimits.fragmentsPerOrigin)
        for (entry, place) in places { loads[place].add(entry) }
        for entry in entries where places[entry] == nil {
            guard let place = loads.firstIndex(where: { $0.hasRoom(for: entry) }) else { continue }
            places[entry] = place
            loads[place].add(entry)
        }
    }
}
