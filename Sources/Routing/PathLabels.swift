import HeapModule
import NetworkModel

/// What the cheapest paths from the root cost, kept up to date: a change costs what it changes.
///
/// As Ramalingam and Reps do it: a node whose label is not what its neighbors offer is looked at in the order of the smaller of
/// both, which for a new network is what Dijkstra does.
struct PathLabels: Sendable {
    private var labels: [PathLabel] = [.start]
    /// The best that the neighbors offer each node.
    private var offers: [PathLabel] = [.start]

    subscript(node: Int) -> PathLabel { labels[node] }

    /// Takes what changed around `ends`; gives the nodes whose labels were set.
    mutating func update(_ graph: Graph, _ ends: Set<Int>) -> Set<Int> {
        let missing = graph.nodes.count - labels.count
        labels += Array(repeating: .none, count: missing)
        offers += Array(repeating: .none, count: missing)
        var heap = Heap<LabeledNode>()
        var moved: Set<Int> = []
        for node in ends { reconsider(node, graph, &heap) }
        while let next = heap.popMin() {
            let (node, label, offer) = (next.node, labels[next.node], offers[next.node])
            guard label != offer, next.label == min(label, offer) else { continue }
            moved.insert(node)
            let isBetter = offer < label
            labels[node] = isBetter ? offer : .none
            if !isBetter { queue(node, &heap) }
            guard graph.isPassed(node) else { continue }
            for arc in graph.arcs[node] where arc.to != 0 {
                if !isBetter {
                    if offers[arc.to] == label.after(arc.cost) { reconsider(arc.to, graph, &heap) }
                } else if offer.after(arc.cost) < offers[arc.to] {
                    offers[arc.to] = offer.after(arc.cost)
                    queue(arc.to, &heap)
                }
            }
        }
        return moved
    }

    private mutating func reconsider(_ node: Int, _ graph: Graph, _ heap: inout Heap<LabeledNode>) {
        guard node != 0 else { return }
        var best = PathLabel.none
        for arc in graph.arcs[node] where graph.isPassed(arc.to) {
            best = min(best, labels[arc.to].after(arc.cost))
        }
        offers[node] = best
        queue(node, &heap)
    }

    private func queue(_ node: Int, _ heap: inout Heap<LabeledNode>) {
        guard labels[node] != offers[node] else { return }
        heap.insert(LabeledNode(label: min(labels[node], offers[node]), node: node))
    }

    /// Where the cheapest paths to a node come from, in order; none when it is not reached.
    func parents(of node: Int, _ graph: Graph) -> [PathParent] {
        let label = labels[node]
        guard label != .none else { return [] }
        var found: [PathParent] = []
        for arc in graph.arcs[node]
        where labels[arc.to].after(arc.cost) == label && graph.isPassed(arc.to) {
            if let index = found.firstIndex(where: { $0.node == arc.to }) {
                found[index].name = min(found[index].name, arc.name)
            } else {
                found.append(PathParent(node: arc.to, name: arc.name))
            }
        }
        return found.count < 2
            ? found : found.sorted { graph.ranks[$0.node] < graph.ranks[$1.node] }
    }
}

/// What paths are compared by: their cost, then their hops.
struct PathLabel: Comparable, Sendable {
    private let number: UInt64

    static let start = PathLabel(number: 0)
    /// Of what is not reached; it comes after all others.
    static let none = PathLabel(number: .max)

    private init(number: UInt64) { self.number = number }

    var cost: PathCost { PathCost(UInt32(number >> 32)) }
    var hops: Int { Int(number & UInt64(UInt32.max)) }

    /// One hop further.
    func after(_ cost: PathCost) -> Self {
        guard self != .none else { return self }
        return Self(number: UInt64((self.cost + cost).value) << 32 | UInt64(hops + 1))
    }

    static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// A node in the order in which it is looked at.
struct LabeledNode: Comparable {
    let label: PathLabel
    let node: Int

    static func < (left: Self, right: Self) -> Bool {
        (left.label, left.node) < (right.label, right.node)
    }
}

/// The proxy before the last on a path, and the first of the edges of least cost from there.
struct PathParent: Equatable, Sendable {
    let node: Int
    var name: EdgeName
}
