import HeapModule
import NetworkModel

/// Shortest paths from the root to every gateway: Dijkstra with deterministic ties.
///
/// Of equal costs the paths with the fewest hops win; all of these are kept, as far as `RoutingLimits.equalPaths` goes, first those
/// whose last hop but one comes first in order. An overloaded gateway is reached but not passed through.
struct SPF {
    struct Path: Equatable {
        let cost: PathCost
        /// From the next hop to the gateway, both included.
        let hops: [ProxyID]
        let via: EdgeName
    }

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
    static func paths(_ graph: Graph) -> [ProxyID: [Path]] {
        let tree = tree(graph, to: [])
        return explicit(tree.order, tree.best, graph)
    }

    /// The first of the paths to each of some nodes; those that are not reached are left out.
    static func firstPaths(_ graph: Graph, to nodes: Set<Int>) -> [Int: Path] {
        let tree = tree(graph, to: nodes)
        var paths: [Int: Path] = [:]
        for node in nodes {
            guard let last = tree.best[node], tree.isSettled[node] else { continue }
            guard last.hops <= RoutingLimits.hops else {
                // Seldom: every way is written out then, to find those that are short enough.
                let all = Self.paths(graph)
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
    private static func tree(_ graph: Graph, to nodes: Set<Int>) -> Tree {
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
        _ graph: Graph
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
        let bounded = BoundedSPF(graph)
        for node in leftOut {
            if let path = bounded.path(to: node) { paths[graph.nodes[node]] = [path] }
        }
        return paths
    }
}

extension [[SPF.Path]] {
    /// The first of each list, then the second of each, and so on, `limit` in all: so none is left out for another one's many.
    func inTurns(atMost limit: Int) -> [SPF.Path] {
        if count == 1 { return Array<SPF.Path>(self[0].prefix(limit)) }
        var taken: [SPF.Path] = []
        for turn in 0..<(map(\.count).max() ?? 0) {
            for list in self where turn < list.count && taken.count < limit {
                taken.append(list[turn])
            }
        }
        return taken
    }
}
