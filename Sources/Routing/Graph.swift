import NetworkModel

/// The network as an indexed graph: only edges that both ends name, with their costs.
///
/// It is kept up to date for those gateways of which something changed. Every arc has its twin of the same name and cost at
/// its other end.
struct Graph: Sendable {
    struct Arc: Equatable {
        let to: Int
        let cost: PathCost
        let name: EdgeName
    }

    /// The root is 0; a number that is free again keeps its last owner, without arcs.
    private(set) var nodes: [ProxyID]
    /// By number; those that are free are not in here.
    private(set) var numbers: [ProxyID: Int]
    /// The place of each number in the order of identities, the root first.
    private(set) var ranks = [0]
    private(set) var arcs: [[Arc]] = [[]]
    private(set) var isOverloaded = [false]
    private var free: [Int] = []
    /// Free once everybody has seen that it lost its arcs.
    private var leaving: [Int] = []

    init(root: ProxyID) { (nodes, numbers) = ([root], [root: 0]) }

    /// True where paths may lead through.
    func isPassed(_ node: Int) -> Bool { node == 0 || !isOverloaded[node] }

    /// Takes what some gateways say now; gives the ends of all arcs that came, went or changed, in cost or in use.
    ///
    /// The edges of the root are `rootEdges`, the live ones, which its own LSA may lag behind.
    mutating func update(
        _ stale: Set<ProxyID>,
        rootEdges: [LSAEdge],
        database: LSDB
    ) -> Set<Int> {
        free += leaving
        leaving = []
        let count = numbers.count
        for origin in stale where numbers[origin] == nil && database.holds(origin) { add(origin) }
        if numbers.count > count { rank() }
        var ends: Set<Int> = []
        for origin in stale {
            guard let node = numbers[origin] else { continue }
            let edges = node == 0 ? rootEdges : database.edges(of: origin)
            let named = Dictionary(grouping: edges, by: \.neighbor)
            let others = Set(named.keys.compactMap { numbers[$0] }).union(arcs[node].map(\.to))
            for other in others where other != node {
                let theirs =
                    other == 0
                    ? rootEdges.filter { $0.neighbor == origin }
                    : database.edges(of: nodes[other], to: origin)
                join(node, other, named[nodes[other]] ?? [], theirs, &ends)
            }
            let overload = node != 0 && database.first(of: origin)?.overload ?? false
            if overload != isOverloaded[node] {
                isOverloaded[node] = overload
                ends.insert(node)
                ends.formUnion(arcs[node].map(\.to))
            }
            if node != 0, !database.holds(origin) {
                numbers[origin] = nil
                leaving.append(node)
            }
        }
        return ends
    }

    private mutating func add(_ origin: ProxyID) {
        if let node = free.popLast() {
            nodes[node] = origin
            numbers[origin] = node
            return
        }
        numbers[origin] = nodes.count
        nodes.append(origin)
        arcs.append([])
        isOverloaded.append(false)
    }

    private mutating func rank() {
        ranks = Array(repeating: 0, count: nodes.count)
        let order = nodes.indices.dropFirst().sorted { nodes[$0] < nodes[$1] }
        for (rank, node) in order.enumerated() { ranks[node] = rank + 1 }
    }

    /// Keeps an edge when both ends name it and the side that declares it gives a cost.
    private mutating func join(
        _ node: Int,
        _ other: Int,
        _ ours: [LSAEdge],
        _ theirs: [LSAEdge],
        _ ends: inout Set<Int>
    ) {
        var common: [EdgeName: PathCost] = [:]
        for edge in ours where common[edge.name] == nil {
            guard let twin = theirs.first(where: { $0.name == edge.name }) else { continue }
            common[edge.name] = Self.cost(edge, twin, nodes[node].site, nodes[other].site)
        }
        let sorted = common.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        let new = sorted.map { Arc(to: other, cost: $0.value, name: $0.key) }
        guard new != arcs[node].filter({ $0.to == other }) else { return }
        arcs[node] = arcs[node].filter { $0.to != other } + new
        arcs[other] =
            arcs[other].filter { $0.to != node }
            + sorted.map { Arc(to: node, cost: $0.value, name: $0.key) }
        ends.formUnion([node, other])
    }

    private static func cost(
        _ edge: LSAEdge,
        _ twin: LSAEdge,
        _ from: SiteID,
        _ to: SiteID
    ) -> PathCost? {
        switch edge.name {
        case .mesh: return from == to ? .zero : nil
        case .link(let dialer, _):
            // Only the dialing site's word counts, and a Link never joins a site to itself.
            guard from != to, dialer == from || dialer == to else { return nil }
            return (dialer == from ? edge.cost : twin.cost).map { PathCost($0) }
        }
    }

    /// The same network at the costs that some services have.
    func applying(_ profile: CostProfile) -> Graph {
        var graph = self
        for node in arcs.indices { graph.take(node, from: self, profile) }
        return graph
    }

    /// Takes what is new around some nodes of the network without the profile.
    mutating func update(_ common: Graph, _ ends: Set<Int>, _ profile: CostProfile) {
        let old = arcs
        self = common
        arcs = old + common.arcs.dropFirst(old.count)
        for node in ends { take(node, from: common, profile) }
    }

    private mutating func take(_ node: Int, from common: Graph, _ profile: CostProfile) {
        let arcs = common.arcs[node]
        guard arcs.contains(where: { common.cost(of: $0, from: node, profile) != nil }) else {
            self.arcs[node] = arcs
            return
        }
        self.arcs[node] = arcs.map { arc in
            let cost = common.cost(of: arc, from: node, profile).map { PathCost($0) }
            return Arc(to: arc.to, cost: cost ?? arc.cost, name: arc.name)
        }
    }

    private func cost(of arc: Arc, from node: Int, _ profile: CostProfile) -> LinkCost? {
        guard case .link(let dialer, let link) = arc.name else { return nil }
        let declaring = nodes[node].site == dialer ? node : arc.to
        return profile[CostOwner(gateway: nodes[declaring], link: link)]
    }

    /// The same network, in which nobody is passed through that is in `transit`.
    func avoiding(_ transit: [Int]) -> Graph {
        var graph = self
        for node in transit { graph.isOverloaded[node] = true }
        return graph
    }

    /// Those of some gateways that no chain of edges, overloaded or not, joins to one that is not among them.
    func isolated(of unreached: Set<ProxyID>) -> Set<ProxyID> {
        var left = Set(unreached.compactMap { numbers[$0] })
        var stack = left.filter { node in arcs[node].contains { !left.contains($0.to) } }
        left.subtract(stack)
        while let node = stack.popFirst() {
            for arc in arcs[node] where left.remove(arc.to) != nil { stack.insert(arc.to) }
        }
        return Set(left.map { nodes[$0] })
    }
}
