import NetworkModel

/// Paths to gateways whose cheapest path has too many hops: the cheapest of those that are short enough.
///
/// Bellman and Ford's rounds, one per hop. It runs only when `SPF` has left somebody out, which takes a network more than
/// `RoutingLimits.hops` wide.
struct BoundedSPF {
    private struct Step {
        let cost: PathCost
        let parent: Int
        let name: EdgeName
    }

    private let graph: Graph
    /// By hops, then by node: the cheapest way there with exactly that many.
    private var rounds: [[Step?]]

    init(_ graph: Graph) {
        self.graph = graph
        var first = [Step?](repeating: nil, count: graph.nodes.count)
        first[0] = Step(cost: .zero, parent: 0, name: .mesh)
        rounds = [first]
        for _ in 0..<RoutingLimits.hops {
            rounds.append(Self.next(rounds[rounds.count - 1], graph))
        }
    }

    private static func next(_ round: [Step?], _ graph: Graph) -> [Step?] {
        var next = [Step?](repeating: nil, count: round.count)
        for node in round.indices where node == 0 || !graph.isOverloaded[node] {
            guard let step = round[node] else { continue }
            for arc in graph.arcs[node] where arc.to != 0 {
                let cost = step.cost + arc.cost
                if let current = next[arc.to],
                    (current.cost, graph.ranks[current.parent], current.name)
                        <= (cost, graph.ranks[node], arc.name)
                {
                    continue
                }
                next[arc.to] = Step(cost: cost, parent: node, name: arc.name)
            }
        }
        return next
    }

    /// The cheapest short path to `node`, of equal ones that with the fewest hops; so it meets nobody twice.
    func path(to node: Int) -> SPF.Path? {
        let lengths = (1..<rounds.count).compactMap { hops in
            rounds[hops][node].map { (cost: $0.cost, hops: hops) }
        }
        guard let best = lengths.min(by: { ($0.cost, $0.hops) < ($1.cost, $1.hops) }) else {
            return nil
        }
        var hops: [ProxyID] = []
        var via = EdgeName.mesh
        var current = node
        for length in (1...best.hops).reversed() {
            guard let step = rounds[length][current] else { return nil }
            hops.append(graph.nodes[current])
            via = step.name
            current = step.parent
        }
        return SPF.Path(cost: best.cost, hops: hops.reversed(), via: via)
    }
}
