import HeapModule
import NetworkModel

/// Shortest paths from the root to every gateway, kept up to date: a change costs what it changes.
///
/// Of equal costs the paths with the fewest hops win; all of these are kept, as far as `RoutingLimits.equalPaths` goes, first those
/// whose last hop but one comes first in order. An overloaded gateway is reached but not passed through. No path has more than
/// `RoutingLimits.hops` hops: where the cheapest one has, a dearer one is taken that is short enough.
///
/// Paths are written anew where what leads to a gateway is another one, and behind those that were.
struct SPF: Sendable {
    struct Path: Equatable {
        let cost: PathCost
        /// From the next hop to the gateway, both included.
        let hops: [ProxyID]
        let via: EdgeName
    }

    /// Those to each gateway that is reached; no list is empty, its paths cost the same and have as many hops.
    private(set) var paths: [ProxyID: [Path]] = [:]
    private var labels = PathLabels()
    private var parents: [[PathParent]] = [[]]
    /// The cheapest paths of each node, as far as they are short enough.
    private var cheapest: [[Path]] = [[]]
    /// Nodes all of whose cheapest paths are too long.
    private var leftOut: Set<Int> = []

    /// Takes what changed around `ends`; gives the nodes that have other paths than before.
    mutating func update(_ graph: Graph, _ ends: Set<Int>) -> Set<Int> {
        while parents.count < graph.nodes.count {
            parents.append([])
            cheapest.append([])
        }
        let moved = labels.update(graph, ends)
        var changed = rewrite(graph, ends, moved)
        for node in changed {
            paths[graph.nodes[node]] = cheapest[node].isEmpty ? nil : cheapest[node]
        }
        guard !leftOut.isEmpty, !ends.isEmpty else { return changed }
        let bounded = BoundedSPF(graph)
        for node in leftOut {
            let path = bounded.path(to: node).map { [$0] }
            guard path != paths[graph.nodes[node]] else { continue }
            paths[graph.nodes[node]] = path
            changed.insert(node)
        }
        return changed
    }

    // MARK: Paths

    /// Gives the nodes that have other cheapest paths.
    private mutating func rewrite(
        _ graph: Graph,
        _ ends: Set<Int>,
        _ moved: Set<Int>
    ) -> Set<Int> {
        var touched = ends.union(moved)
        for node in moved { touched.formUnion(graph.arcs[node].lazy.map(\.to)) }
        touched.remove(0)
        var heap = Heap<LabeledNode>()
        var queued: Set<Int> = []
        for node in touched {
            let new = labels.parents(of: node, graph)
            guard new != parents[node] || moved.contains(node) else { continue }
            parents[node] = new
            queued.insert(node)
            heap.insert(LabeledNode(label: labels[node], node: node))
        }
        var changed: Set<Int> = []
        // Parents come before their children.
        while let node = heap.popMin()?.node {
            let new = write(node, graph)
            if new.isEmpty, labels[node] != .none {
                leftOut.insert(node)
            } else if leftOut.remove(node) != nil {
                changed.insert(node)
            }
            guard new != cheapest[node] else { continue }
            cheapest[node] = new
            changed.insert(node)
            for arc in graph.arcs[node]
            where parents[arc.to].contains(where: { $0.node == node }) {
                guard queued.insert(arc.to).inserted else { continue }
                heap.insert(LabeledNode(label: labels[arc.to], node: arc.to))
            }
        }
        return changed
    }

    private func write(_ node: Int, _ graph: Graph) -> [Path] {
        let (id, cost) = (graph.nodes[node], labels[node].cost)
        return parents[node].map { parent in
            guard parent.node != 0 else { return [Path(cost: cost, hops: [id], via: parent.name)] }
            return cheapest[parent.node]
                .filter { $0.hops.count < RoutingLimits.hops }
                .map { Path(cost: cost, hops: $0.hops + [id], via: $0.via) }
        }
        .inTurns(atMost: RoutingLimits.equalPaths)
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
