import NetworkModel

/// Decides which fragment of the advertisement names which edge and service, and keeps to it.
///
/// What is advertised stays in its fragment for as long as it is advertised, and what is new goes where there is room. Were
/// everything packed anew, one more edge would push others from a fragment into the next; whoever hears the first of the two
/// before the second would believe for a moment that they are gone.
struct FragmentLayout: Sendable {
    private struct EdgeKey: Hashable {
        let neighbor: ProxyID
        let name: EdgeName
    }

    private struct Load {
        var bytes = 0
        var edges = 0
        var services = 0
    }

    private var edgePlaces: [EdgeKey: Int] = [:]
    private var servicePlaces: [ServicePort: Int] = [:]

    /// Bytes of edges and services per fragment: leaves room for the header and the certificates.
    private static let fragmentBytes = 40_000

    /// At least one LSA, and at most `RoutingLimits.fragmentsPerOrigin`: what does not fit any more is left out.
    mutating func fragments(
        of origin: ProxyID,
        edges: [LSAEdge],
        services: [LSAService]
    ) -> [LSA] {
        forget(edges, services)
        var loads = [Load](repeating: Load(), count: RoutingLimits.fragmentsPerOrigin)
        for (key, place) in edgePlaces { Self.put(key, &loads[place]) }
        for (key, place) in servicePlaces { Self.put(key, &loads[place]) }
        var fragments = [LSA(origin: origin, sequence: 0)]
        func extend(to place: Int) {
            while fragments.count <= place { fragments.append(LSA(origin: origin, sequence: 0)) }
        }
        for edge in edges.sorted() {
            guard let place = place(EdgeKey(neighbor: edge.neighbor, name: edge.name), &loads)
            else { continue }
            extend(to: place)
            fragments[place].edges.append(edge)
        }
        for service in services.sorted(by: { $0.service < $1.service }) {
            guard let place = place(service.service, &loads) else { continue }
            extend(to: place)
            fragments[place].services.append(service)
        }
        return fragments
    }

    private mutating func forget(_ edges: [LSAEdge], _ services: [LSAService]) {
        let wantedEdges = Set(edges.map { EdgeKey(neighbor: $0.neighbor, name: $0.name) })
        let wantedServices = Set(services.map(\.service))
        edgePlaces = edgePlaces.filter { wantedEdges.contains($0.key) }
        servicePlaces = servicePlaces.filter { wantedServices.contains($0.key) }
    }

    private mutating func place(_ key: EdgeKey, _ loads: inout [Load]) -> Int? {
        if let place = edgePlaces[key] { return place }
        let place = loads.firstIndex { load in
            load.edges < RoutingLimits.edgesPerFragment
                && load.bytes + Self.size(key) <= Self.fragmentBytes
        }
        guard let place else { return nil }
        edgePlaces[key] = place
        Self.put(key, &loads[place])
        return place
    }

    private mutating func place(_ key: ServicePort, _ loads: inout [Load]) -> Int? {
        if let place = servicePlaces[key] { return place }
        let place = loads.firstIndex { load in
            load.services < RoutingLimits.servicesPerFragment
                && load.bytes + Self.size(key) <= Self.fragmentBytes
        }
        guard let place else { return nil }
        servicePlaces[key] = place
        Self.put(key, &loads[place])
        return place
    }

    private static func put(_ key: EdgeKey, _ load: inout Load) {
        load.bytes += size(key)
        load.edges += 1
    }

    private static func put(_ key: ServicePort, _ load: inout Load) {
        load.bytes += size(key)
        load.services += 1
    }

    private static func size(_ key: EdgeKey) -> Int { 70 + key.name.description.utf8.count }
    private static func size(_ key: ServicePort) -> Int { 8 + key.description.utf8.count }
}
