import NetworkModel

/// Ways around the transit proxies of the cheapest paths: for the cheapest groups of gateways behind the same ones.
///
/// What is known of the network around them is kept while the group stays the same.
struct Detours: Sendable {
    private(set) var ways: [ProxyID: SPF.Path] = [:]
    /// The transit proxies of each node that has any, in order, whichever of its paths is taken.
    private var transit: [Int: [Int]] = [:]
    /// What the nodes behind the same transit proxies cost.
    private var groups: [[Int]: [Int: PathCost]] = [:]
    private var searches: [[Int]: DetourSearch] = [:]

    /// Takes what changed around `ends`, and the nodes whose `paths` did; gives those that have another detour.
    mutating func update(
        _ graph: Graph,
        _ ends: Set<Int>,
        _ paths: [ProxyID: [SPF.Path]],
        changed: Set<Int>
    ) -> Set<Int> {
        guard !ends.isEmpty || !changed.isEmpty else { return [] }
        for node in changed { regroup(node, paths[graph.nodes[node]] ?? [], graph) }
        let before = Set(searches.values.flatMap(\.members))
        var new: [[Int]: DetourSearch] = [:]
        for key in cheapest(graph) {
            let members = Set((groups[key] ?? [:]).keys)
            let around = graph.avoiding(key)
            if var known = searches.removeValue(forKey: key), known.members == members {
                known.update(around, ends)
                new[key] = known
            } else {
                new[key] = DetourSearch(around, to: members)
            }
        }
        let old = ways
        let found = new.values.flatMap(\.paths)
        ways = Dictionary(uniqueKeysWithValues: found.map { (graph.nodes[$0.key], $0.value) })
        searches = new
        return before.union(found.map(\.key)).filter {
            old[graph.nodes[$0]] != ways[graph.nodes[$0]]
        }
    }

    private mutating func regroup(_ node: Int, _ equal: [SPF.Path], _ graph: Graph) {
        if let key = transit.removeValue(forKey: node) {
            groups[key]?[node] = nil
            if groups[key]?.isEmpty == true { groups[key] = nil }
        }
        guard let first = equal.first, first.hops.count > 1 else { return }
        let passed = Set(equal.flatMap { $0.hops.dropLast() }).compactMap { graph.numbers[$0] }
        let key = passed.sorted { graph.ranks[$0] < graph.ranks[$1] }
        transit[node] = key
        groups[key, default: [:]][node] = first.cost
    }

    private func cheapest(_ graph: Graph) -> [[Int]] {
        var best: [(cost: PathCost, key: [Int])] = []
        for (key, members) in groups {
            guard let cost = members.values.min() else { continue }
            let isBefore = { (other: (cost: PathCost, key: [Int])) in
                guard other.cost == cost else { return cost < other.cost }
                return key.lexicographicallyPrecedes(other.key) {
                    graph.ranks[$0] < graph.ranks[$1]
                }
            }
            let index = best.firstIndex(where: isBefore) ?? best.count
            guard index < RoutingLimits.detourGroups else { continue }
            best.insert((cost, key), at: index)
            if best.count > RoutingLimits.detourGroups { best.removeLast() }
        }
        return best.map(\.key)
    }
}

/// The first of the cheapest paths to a few nodes, in a network in which some are not passed through.
struct DetourSearch: Sendable {
    let members: Set<Int>
    private var labels = PathLabels()
    /// Of those that are reached.
    private(set) var paths: [Int: SPF.Path] = [:]

    init(_ graph: Graph, to members: Set<Int>) {
        self.members = members
        update(graph, Set(graph.numbers.values))
    }

    /// Takes what changed around `ends`.
    mutating func update(_ graph: Graph, _ ends: Set<Int>) {
        guard !ends.isEmpty else { return }
        _ = labels.update(graph, ends)
        paths = [:]
        let reached = members.filter { labels[$0] != .none }
        guard reached.allSatisfy({ labels[$0].hops <= RoutingLimits.hops }) else {
            // Seldom: every way is written out then, to find those that are short enough.
            var whole = SPF()
            _ = whole.update(graph, Set(graph.numbers.values))
            for node in members { paths[node] = whole.paths[graph.nodes[node]]?.first }
            return
        }
        for node in reached { paths[node] = path(to: node, graph) }
    }

    private func path(to node: Int, _ graph: Graph) -> SPF.Path {
        var hops: [ProxyID] = []
        var (current, via) = (node, EdgeName.mesh)
        while current != 0, let parent = labels.parents(of: current, graph).first {
            hops.append(graph.nodes[current])
            (current, via) = (parent.node, parent.name)
        }
        return SPF.Path(cost: labels[node].cost, hops: hops.reversed(), via: via)
    }
}
