import NetworkModel
import Routing
import TestSupport
import Testing

/// A network of gateways with a Link between some of them; the gateway under test is 0.
private struct RandomNetwork {
    let count: Int
    var costs: [[Int]: Int] = [:]

    init(_ random: inout SeededGenerator) {
        count = Int.random(in: 4...8, using: &random)
        // The neighbor from which the bench learns.
        costs[[0, 1]] = Int.random(in: 1...2, using: &random)
        for from in 0..<count {
            for to in max(2, from + 1)..<count where Int.random(in: 0..<5, using: &random) < 3 {
                costs[[from, to]] = Int.random(in: 1...2, using: &random)
            }
        }
    }

    private func neighbors(_ node: Int) -> [(node: Int, cost: Int)] {
        costs.compactMap { pair, cost in
            pair.contains(node) ? (pair[0] == node ? pair[1] : pair[0], cost) : nil
        }
    }

    /// Every path from 0 to `goal` that meets nobody twice, by trying all.
    private func allPaths(to goal: Int) -> [(cost: Int, hops: [Int])] {
        var found: [(cost: Int, hops: [Int])] = []
        func walk(_ node: Int, _ cost: Int, _ hops: [Int]) {
            if node == goal { return found.append((cost, hops)) }
            for next in neighbors(node) where next.node != 0 && !hops.contains(next.node) {
                walk(next.node, cost + next.cost, hops + [next.node])
            }
        }
        walk(0, 0, [])
        return found
    }

    /// Those of the least cost, and of these the shortest.
    func best(to goal: Int) -> Set<[ProxyID]> {
        let paths = allPaths(to: goal)
        guard
            let best = paths.map({ [$0.cost, $0.hops.count] }).min(by: {
                $0.lexicographicallyPrecedes($1)
            })
        else { return [] }
        return Set(
            paths.filter { [$0.cost, $0.hops.count] == best }.map { $0.hops.map { gateway($0) } }
        )
    }

    func learned() -> Bench {
        var bench = Bench()
        for (pair, cost) in costs.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) })
        where pair[0] == 0 {
            bench.dial(pair[1], cost: cost)
        }
        for node in 1..<count {
            let edges = costs.compactMap { pair, cost -> LSAEdge? in
                guard pair.contains(node) else { return nil }
                let name = "to\(pair[1])"
                return pair[1] == node
                    ? accepted(gateway(pair[0]), pair[0], name)
                    : dialed(gateway(pair[1]), node, name, cost)
            }
            bench.learn(lsa(node, edges: edges))
        }
        bench.feed(.deadline, after: 1_000)
        return bench
    }
}

@Suite("Paths of equal cost")
struct EqualPathTests {
    @Test(
        "all of them are kept, and no other: random networks against every path there is",
        arguments: Seeds.some()
    )
    func againstEveryPath(_ seed: UInt64) {
        var (random, several) = (SeededGenerator(seed: seed), 0)
        for _ in 0..<80 {
            let network = RandomNetwork(&random)
            let bench = network.learned()
            for goal in 1..<network.count {
                let (best, routes) = (network.best(to: goal), bench.target(goal)?.routes ?? [])
                #expect(Set(routes).count == routes.count && Set(routes).isSubset(of: best))
                #expect(routes.count == min(best.count, RoutingLimits.equalPaths))
                if routes.count > 1 { several += 1 }
                let detours = bench.target(goal)?.detours ?? []
                #expect(Set(detours).isDisjoint(with: routes))
            }
        }
        #expect(several > 20)
    }

    @Test("of too many eight are kept, over every last hop but one alike")
    func limit() {
        var bench = Bench()
        for first in 1...4 { bench.dial(first, cost: 1) }
        // 0 - four - three - 8: twelve paths of cost 3.
        for first in 1...4 {
            bench.learn(
                lsa(
                    first,
                    edges: [accepted(gateway(0), 0, "to\(first)")]
                        + (5...7).map { dialed(gateway($0), first, "to\($0)", 1) }
                )
            )
        }
        for second in 5...7 {
            bench.learn(
                lsa(
                    second,
                    edges: (1...4).map { accepted(gateway($0), $0, "to\(second)") }
                        + [dialed(gateway(8), second, "to8", 1)]
                )
            )
        }
        bench.learn(lsa(8, edges: (5...7).map { accepted(gateway($0), $0, "to8") }))
        bench.feed(.deadline, after: 1_000)
        let routes = bench.target(8)?.routes ?? []
        #expect(routes.count == RoutingLimits.equalPaths)
        let through = Dictionary(grouping: routes) { $0[1] }.mapValues(\.count)
        #expect(through == [gateway(5): 3, gateway(6): 3, gateway(7): 2])
    }

    @Test("another path of the same cost that appears is used, and one that goes is not")
    func comesAndGoes() {
        var bench = Bench()
        bench.dial(1, cost: 1)
        bench.dial(2, cost: 1)
        let near = { (index: Int, sequence: UInt64, cost: Int) in
            lsa(
                index,
                sequence: sequence,
                edges: [
                    accepted(gateway(0), 0, "to\(index)"), dialed(gateway(3), index, "x", cost),
                ]
            )
        }
        bench.learn(near(1, 1, 1))
        bench.learn(near(2, 1, 2))
        bench.learn(lsa(3, edges: [accepted(gateway(1), 1, "x"), accepted(gateway(2), 2, "x")]))
        bench.feed(.deadline, after: 1_000)
        let (over1, over2) = ([gateway(1), gateway(3)], [gateway(2), gateway(3)])
        #expect(bench.target(3)?.routes == [over1])
        #expect(bench.target(3)?.detours == [over2])
        bench.learn(near(2, 2, 1))
        bench.feed(.deadline, after: 1_000)
        #expect(bench.target(3)?.routes == [over1, over2])
        #expect(bench.target(3)?.detours == [])
        bench.learn(near(1, 2, 2))
        bench.feed(.deadline, after: 1_000)
        #expect(bench.target(3)?.routes == [over2])
    }
}
