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

    private struct EdgeKey: Hashable {
        let from: Int
        let to: Int
        let name: EdgeName
    }

    /// Keeps an edge when the neighbor names it too and the side that declares it gives a cost.
    private static func arcs(
        _ nodes: [ProxyID],
        _ edges: [[LSAEdge]],
        _ index: [ProxyID: Int]
    ) -> [[Arc]] {
        var named: [EdgeKey: LinkCost?] = [:]
        for (from, list) in edges.enumerated() {
            for edge in list {
                guard let to = index[edge.neighbor] else { continue }
                named[EdgeKey(from: from, to: to, name: edge.name)] = .some(edge.cost)
            }
        }
        var arcs = [[Arc]](repeating: [], count: nodes.count)
        for (key, ownCost) in named {
            let reverse = EdgeKey(from: key.to, to: key.from, name: key.name)
            guard let otherCost = named[reverse] else { continue }
            let cost: PathCost
            switch key.name {
            case .mesh:
                guard nodes[key.from].site == nodes[key.to].site else { continue }
                cost = .zero
            case .link(let dialer, _):
                // Only the dialing site's word counts, and a Link never joins a site to itself.
                let (from, to) = (nodes[key.from].site, nodes[key.to].site)
                guard from != to, dialer == from || dialer == to,
                    let declared = dialer == from ? ownCost : otherCost
                else { continue }
                cost = PathCost(declared)
            }
            arcs[key.from].append(Arc(to: key.to, cost: cost, name: key.name))
        }
        // The dictionary's order is random per process: what follows must not depend on it.
        for node in arcs.indices {
            arcs[node].sort(by: Arc.precedes)
        }
        return arcs
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
