import HeapModule
import NetworkModel

/// Shortest paths from the root to every gateway: Dijkstra with deterministic ties.
///
/// Of equal costs the path with fewer hops wins, then the one whose last hop but one, and then whose last edge, comes
/// first in order. An overloaded gateway is reached but not passed through.
struct SPF {
    struct Path: Equatable {
        let cost: PathCost
        /// From the next hop to the gateway, both included.
        let hops: [ProxyID]
        let via: EdgeName
    }

    private struct Best {
        var cost: PathCost
        var hops: Int
        var parent: Int
        var name: EdgeName
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
    static func paths(_ graph: Graph) -> [ProxyID: Path] {
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
                let offer = Best(cost: cost, hops: hops, parent: node, name: arc.name)
                if let current = best[arc.to], !isBetter(offer, than: current) { continue }
                best[arc.to] = offer
                heap.insert(Candidate(cost: cost, hops: hops, node: arc.to))
            }
        }
        return explicit(order, best, graph)
    }

    private static func isBetter(_ offer: Best, than current: Best) -> Bool {
        (offer.cost, offer.hops, offer.parent, offer.name)
            < (current.cost, current.hops, current.parent, current.name)
    }

    /// Writes every path out; a parent is settled before its children.
    private static func explicit(
        _ order: [Int],
        _ best: [Best?],
        _ graph: Graph
    ) -> [ProxyID: Path] {
        var paths: [ProxyID: Path] = [:]
        var leftOut: [Int] = []
        for node in order {
            guard let last = best[node] else { continue }
            let id = graph.nodes[node]
            if last.parent == 0 {
                paths[id] = Path(cost: last.cost, hops: [id], via: last.name)
            } else if let parent = paths[graph.nodes[last.parent]],
                parent.hops.count < RoutingLimits.hops
            {
                paths[id] = Path(cost: last.cost, hops: parent.hops + [id], via: parent.via)
            } else {
                leftOut.append(node)
            }
        }
        guard !leftOut.isEmpty else { return paths }
        let bounded = BoundedSPF(graph)
        for node in leftOut { paths[graph.nodes[node]] = bounded.path(to: node) }
        return paths
    }
}
