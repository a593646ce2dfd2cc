import HeapModule
import NetworkModel

@testable import Routing

/// The network computed as a whole, as it was before what changed was looked at only: what `ServiceWays` is compared with.
struct WholeNetwork {
    private let graph: WholeGraph
    private let database: LSDB
    private(set) var paths: [ProxyID: [SPF.Path]] = [:]
    private(set) var detours: [ProxyID: SPF.Path] = [:]

    init(origin: ProxyID, rootEdges: [LSAEdge], database: LSDB, profile: CostProfile = [:]) {
        self.database = database
        let plain = WholeGraph(root: origin, rootEdges: rootEdges, database: database)
        graph = plain.applying(profile)
        var indexed = Graph(root: origin)
        let all = Set(database.origins).union([origin])
        _ = indexed.update(all, rootEdges: rootEdges, database: database)
        let bounded = indexed.applying(profile)
        paths = WholeSPF.paths(graph, bounded)
        detours = Self.detours(paths, graph, bounded)
    }

    var connected: Set<ProxyID> { graph.connected }

    func lost(from origin: ProxyID) -> Set<SiteID> {
        Set(
            database.origins.filter { gateway in
                guard gateway != origin, paths[gateway] == nil else { return false }
                let neighbors = database.advertisements(of: gateway).flatMap(\.edges)
                let isWithdrawn =
                    neighbors.isEmpty && database.first(of: gateway)?.overload == true
                return isWithdrawn
                    || neighbors.contains { edge in
                        edge.neighbor.site != origin.site && edge.neighbor.site != gateway.site
                            && paths[edge.neighbor] != nil
                    }
            }
            .map(\.site)
        )
    }

    private static func detours(
        _ paths: [ProxyID: [SPF.Path]],
        _ graph: WholeGraph,
        _ bounded: Graph
    ) -> [ProxyID: SPF.Path] {
        var groups: [[ProxyID]: (cost: PathCost, gateways: [ProxyID])] = [:]
        for (gateway, equal) in paths where equal[0].hops.count > 1 {
            let transit = Set(equal.flatMap { $0.hops.dropLast() }).sorted()
            var group = groups[transit] ?? (equal[0].cost, [])
            group.gateways.append(gateway)
            group.cost = min(group.cost, equal[0].cost)
            groups[transit] = group
        }
        let chosen = groups.sorted { left, right in
            left.value.cost == right.value.cost
                ? left.key.lexicographicallyPrecedes(right.key) : left.value.cost < right.value.cost
        }
        .prefix(RoutingLimits.detourGroups)
        var index: [ProxyID: Int] = [:]
        for (node, gateway) in graph.nodes.enumerated() { index[gateway] = node }
        var detours: [ProxyID: SPF.Path] = [:]
        for (transit, group) in chosen {
            let nodes = Set(group.gateways.compactMap { index[$0] })
            let numbers = transit.compactMap { bounded.numbers[$0] }
            let around = WholeSPF.firstPaths(
                graph.avoiding(Set(transit)),
                bounded.avoiding(numbers),
                to: nodes
            )
            for (node, path) in around { detours[graph.nodes[node]] = path }
        }
        return detours
    }
}

/// The network as an indexed graph: only edges that both ends name, with their costs.
private struct WholeGraph {
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
    func applying(_ profile: CostProfile) -> WholeGraph {
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
    func avoiding(_ transit: Set<ProxyID>) -> WholeGraph {
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

/// Dijkstra with deterministic ties.
private enum WholeSPF {
    typealias Path = SPF.Path

    /// The proxy before the last on a path, and the edge from there.
    private struct Parent: Comparable {
        let node: Int
        var name: EdgeName

        static func < (left: Self, right: Self) -> Bool {
            (left.node, left.name) < (right.node, right.name)
        }
    }

    private struct Best {
        let cost: PathCost
        let hops: Int
        private var first: Parent
        /// Where paths of this cost and length part; each node once.
        private var others: [Parent] = []

        init(_ cost: PathCost, hops: Int, by parent: Parent) {
            self.cost = cost
            self.hops = hops
            first = parent
        }

        mutating func join(_ parent: Parent) {
            if first.node == parent.node {
                first.name = min(first.name, parent.name)
            } else if let index = others.firstIndex(where: { $0.node == parent.node }) {
                others[index].name = min(others[index].name, parent.name)
            } else {
                others.append(parent)
            }
        }

        /// In order.
        var parents: [Parent] { others.isEmpty ? [first] : ([first] + others).sorted() }
        var firstParent: Parent { others.reduce(first) { min($0, $1) } }
    }

    private struct Candidate: Comparable {
        let cost: PathCost
        let hops: Int
        let node: Int

        static func < (left: Self, right: Self) -> Bool {
            (left.cost, left.hops, left.node) < (right.cost, right.hops, right.node)
        }
    }

    /// No path has more than `RoutingLimits.hops` hops: where the cheapest one has, a dearer one is taken that is short enough.
    ///
    /// No list is empty; its paths cost the same and have as many hops.
    static func paths(_ graph: WholeGraph, _ wide: Graph) -> [ProxyID: [Path]] {
        let tree = tree(graph, to: [])
        return explicit(tree.order, tree.best, graph, wide)
    }

    /// The first of the paths to each of some nodes; those that are not reached are left out.
    static func firstPaths(_ graph: WholeGraph, _ wide: Graph, to nodes: Set<Int>) -> [Int: Path] {
        let tree = tree(graph, to: nodes)
        var paths: [Int: Path] = [:]
        for node in nodes {
            guard let last = tree.best[node], tree.isSettled[node] else { continue }
            guard last.hops <= RoutingLimits.hops else {
                // Seldom: every way is written out then, to find those that are short enough.
                let all = Self.paths(graph, wide)
                return nodes.reduce(into: [:]) { $0[$1] = all[graph.nodes[$1]]?.first }
            }
            var hops: [ProxyID] = []
            var (current, via) = (node, EdgeName.mesh)
            while current != 0, let best = tree.best[current] {
                hops.append(graph.nodes[current])
                (current, via) = (best.firstParent.node, best.firstParent.name)
            }
            paths[node] = Path(cost: last.cost, hops: hops.reversed(), via: via)
        }
        return paths
    }

    private struct Tree {
        var best: [Best?]
        var isSettled: [Bool]
        /// Those that are settled, but for the root.
        var order: [Int] = []
    }

    /// Dijkstra's tree from the root to `nodes`; none: to all.
    private static func tree(_ graph: WholeGraph, to nodes: Set<Int>) -> Tree {
        var tree = Tree(
            best: Array(repeating: nil, count: graph.nodes.count),
            isSettled: Array(repeating: false, count: graph.nodes.count)
        )
        var missing = nodes.count
        var heap = Heap<Candidate>()
        heap.insert(Candidate(cost: .zero, hops: 0, node: 0))
        while let candidate = heap.popMin() {
            let node = candidate.node
            guard !tree.isSettled[node] else { continue }
            tree.isSettled[node] = true
            if node != 0 { tree.order.append(node) }
            if nodes.contains(node) {
                missing -= 1
                if missing == 0 { break }
            }
            guard node == 0 || !graph.isOverloaded[node] else { continue }
            let hops = candidate.hops + 1
            for arc in graph.arcs[node] where !tree.isSettled[arc.to] && arc.to != 0 {
                let cost = candidate.cost + arc.cost
                let parent = Parent(node: node, name: arc.name)
                if let current = tree.best[arc.to], (current.cost, current.hops) <= (cost, hops) {
                    if (current.cost, current.hops) == (cost, hops) {
                        tree.best[arc.to]?.join(parent)
                    }
                    continue
                }
                tree.best[arc.to] = Best(cost, hops: hops, by: parent)
                heap.insert(Candidate(cost: cost, hops: hops, node: arc.to))
            }
        }
        return tree
    }

    /// Writes every path out; parents are settled before their children.
    private static func explicit(
        _ order: [Int],
        _ best: [Best?],
        _ graph: WholeGraph,
        _ wide: Graph
    ) -> [ProxyID: [Path]] {
        var paths: [ProxyID: [Path]] = [:]
        var leftOut: [Int] = []
        for node in order {
            guard let last = best[node] else { continue }
            let id = graph.nodes[node]
            let byParent = last.parents.map { parent in
                guard parent.node != 0 else {
                    return [Path(cost: last.cost, hops: [id], via: parent.name)]
                }
                return (paths[graph.nodes[parent.node]] ?? [])
                    .filter { $0.hops.count < RoutingLimits.hops }
                    .map { Path(cost: last.cost, hops: $0.hops + [id], via: $0.via) }
            }
            let found = byParent.inTurns(atMost: RoutingLimits.equalPaths)
            if found.isEmpty { leftOut.append(node) } else { paths[id] = found }
        }
        guard !leftOut.isEmpty else { return paths }
        let bounded = BoundedSPF(wide)
        for node in leftOut {
            let id = graph.nodes[node]
            if let path = wide.numbers[id].flatMap({ bounded.path(to: $0) }) { paths[id] = [path] }
        }
        return paths
    }
}
