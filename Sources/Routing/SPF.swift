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
        /// Several where paths of this cost and length part; each node once.
        private(set) var parents: [Parent]

        init(_ cost: PathCost, hops: Int, by parent: Parent) {
            self.cost = cost
            self.hops = hops
            parents = [parent]
        }

        mutating func join(_ parent: Parent) {
            guard let index = parents.firstIndex(where: { $0.node == parent.node }) else {
                return parents.append(parent)
            }
            parents[index].name = min(parents[index].name, parent.name)
        }
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
        var best = [Best?](repeating: nil, count: graph.nodes.count)
        var isSettled = [Bool](repeating: false, count: graph.nodes.count)
        var order: [Int] = []
        var heap = Heap<Candidate>()
        heap.insert(Candidate(cost: .zero, hops: 0, node: 0))
        while let candidate = heap.popMin() {
            let node = candidate.node
            guard !isSettled[node] else { continue }
            isSettled[node] = true
            if node != 0 { order.append(node) }
            guard node == 0 || !graph.isOverloaded[node] else { continue }
            let hops = candidate.hops + 1
            for arc in graph.arcs[node] where !isSettled[arc.to] && arc.to != 0 {
                let cost = candidate.cost + arc.cost
                let parent = Parent(node: node, name: arc.name)
                if let current = best[arc.to], (current.cost, current.hops) <= (cost, hops) {
                    if (current.cost, current.hops) == (cost, hops) { best[arc.to]?.join(parent) }
                    continue
                }
                best[arc.to] = Best(cost, hops: hops, by: parent)
                heap.insert(Candidate(cost: cost, hops: hops, node: arc.to))
            }
        }
        return explicit(order, best, graph)
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
            let byParent = last.parents.sorted().map { parent in
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
