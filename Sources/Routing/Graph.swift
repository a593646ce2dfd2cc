import NetworkModel

/// The network as an indexed graph: only edges that both ends name, with their costs.
struct Graph {
    struct Arc {
        let to: Int
        let cost: PathCost
        let name: EdgeName

        static func precedes(_ left: Self, _ right: Self) -> Bool {
            (left.to, left.cost, left.name) < (right.to, right.cost, right.name)
        }
    }

    /// The root is 0, the others follow in the order of their identities.
    private(set) var nodes: [ProxyID]
    private(set) var arcs: [[Arc]]
    private(set) var isOverloaded: [Bool]

    /// Nobody.
    init() { (nodes, arcs, isOverloaded) = ([], [], []) }

    /// Reads the database; the edges of `root` are the live ones, which its own LSA may lag behind.
    init(root: ProxyID, rootEdges: [LSAEdge], database: LSDB) {
        nodes = [root] + database.origins.filter { $0 != root }.sorted()
        var index: [ProxyID: Int] = [:]
        for (position, node) in nodes.enumerated() { index[node] = position }
        var edges: [[LSAEdge]] = [rootEdges]
        isOverloaded = [false]
        for node in nodes.dropFirst() {
            let advertisements = database.advertisements(of: node)
            edges.append(advertisements.flatMap(\.edges))
            isOverloaded.append(advertisements.first?.overload ?? false)
        }
        arcs = Self.arcs(nodes, edges, index)
    }

    /// An edge as one end names it.
    private struct Named {
        let to: Int
        let name: EdgeName
        let cost: LinkCost?
    }

    /// Keeps an edge when the neighbor names it too and the side that declares it gives a cost.
    private static func arcs(
        _ nodes: [ProxyID],
        _ edges: [[LSAEdge]],
        _ index: [ProxyID: Int]
    ) -> [[Arc]] {
        let named = edges.map { list in
            list.compactMap { edge in
                index[edge.neighbor].map { Named(to: $0, name: edge.name, cost: edge.cost) }
            }
            .sorted { $0.to < $1.to }
        }
        return named.enumerated().map { from, list in
            list.compactMap { edge in
                otherEnd(of: edge, from: from, named[edge.to]).flatMap { other in
                    cost(edge, other, nodes[from].site, nodes[edge.to].site)
                }
                .map { Arc(to: edge.to, cost: $0, name: edge.name) }
            }
            .sorted(by: Arc.precedes)
        }
    }

    /// The same edge as its other end names it, in that one's list.
    private static func otherEnd(of edge: Named, from: Int, _ list: [Named]) -> Named? {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle].to < from { low = middle + 1 } else { high = middle }
        }
        while low < list.count, list[low].to == from {
            if list[low].name == edge.name { return list[low] }
            low += 1
        }
        return nil
    }

    private static func cost(
        _ edge: Named,
        _ other: Named,
        _ from: SiteID,
        _ to: SiteID
    ) -> PathCost? {
        switch edge.name {
        case .mesh: return from == to ? .zero : nil
        case .link(let dialer, _):
            // Only the dialing site's word counts, and a Link never joins a site to itself.
            guard from != to, dialer == from || dialer == to else { return nil }
            return (dialer == from ? edge.cost : other.cost).map { PathCost($0) }
        }
    }

    /// The same network at the costs that some services have.
    func applying(_ profile: CostProfile) -> Graph {
        var graph = self
        for node in arcs.indices {
            var isChanged = false
            for index in arcs[node].indices {
                let arc = arcs[node][index]
                guard case .link(let dialer, let link) = arc.name else { continue }
                let declaring = nodes[node].site == dialer ? node : arc.to
                let owner = CostOwner(gateway: nodes[declaring], link: link)
                guard let cost = profile[owner] else { continue }
                graph.arcs[node][index] = Arc(to: arc.to, cost: PathCost(cost), name: arc.name)
                isChanged = true
            }
            if isChanged { graph.arcs[node].sort(by: Arc.precedes) }
        }
        return graph
    }

    /// The same network, in which nobody is passed through that is in `transit`.
    func avoiding(_ transit: Set<ProxyID>) -> Graph {
        var graph = self
        for node in nodes.indices where transit.contains(nodes[node]) {
            graph.isOverloaded[node] = true
        }
        return graph
    }

    /// Everyone joined to the root by any chain of edges, overloaded or not.
    var connected: Set<ProxyID> {
        var seen = [Bool](repeating: false, count: nodes.count)
        seen[0] = true
        var stack = [0]
        while let node = stack.popLast() {
            for arc in arcs[node] where !seen[arc.to] {
                seen[arc.to] = true
                stack.append(arc.to)
            }
        }
        return Set(nodes.indices.filter { seen[$0] }.map { nodes[$0] })
    }
}
