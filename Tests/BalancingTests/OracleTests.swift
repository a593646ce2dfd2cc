import Balancing
import NetworkModel
import TestSupport
import Testing

/// The rule written down a second time, naively: integers scaled by the product of all weights.
private struct Oracle {
    var targets: [(site: SiteID, cost: Int, weight: Int)]
    var open: [SiteID: Int] = [:]
    var last: [SiteID: Int] = [:]
    var picks = 0

    mutating func pick(excluding excluded: [SiteID]) -> SiteID? {
        let scale = targets.reduce(1) { $0 * $1.weight }
        let (open, last) = (self.open, self.last)
        let winner = targets.filter { !excluded.contains($0.site) }.min { left, right in
            let key = { (target: (site: SiteID, cost: Int, weight: Int)) in
                (
                    target.cost * scale + (open[target.site] ?? 0) * scale / target.weight,
                    target.cost, last[target.site] ?? 0, target.site
                )
            }
            return key(left) < key(right)
        }
        guard let winner else { return nil }
        picks += 1
        self.open[winner.site, default: 0] += 1
        self.last[winner.site] = picks
        return winner.site
    }
}

@Suite("Balancer and oracle")
struct OracleTests {
    @Test("every pick of random schedules equals the naive rule", arguments: 1...40)
    func randomSchedules(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var targets: [(site: SiteID, cost: Int, weight: Int)] = []
        for index in 0..<Int.random(in: 1...6, using: &random) {
            targets.append(
                (
                    site(index), Int.random(in: 0...6, using: &random),
                    Int.random(in: 1...7, using: &random)
                )
            )
        }
        var oracle = Oracle(targets: targets)
        var balancer = ServiceBalancer(service: service())
        let update = { (balancer: inout ServiceBalancer) in
            let values = oracle.targets.map {
                Target(
                    site: $0.site,
                    reach: .usable(cost: PathCost(UInt32($0.cost)), endpoints: UInt32($0.weight))
                )
            }
            balancer.update(values, at: .seconds(1))
        }
        update(&balancer)
        var held: [Pick] = []
        for step in 0..<1_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where !oracle.targets.isEmpty:
                let index = Int.random(in: 0..<oracle.targets.count, using: &random)
                oracle.targets[index].cost = Int.random(in: 0...6, using: &random)
                oracle.targets[index].weight = Int.random(in: 1...7, using: &random)
                update(&balancer)
            case 1...4 where !held.isEmpty:
                let pick = held.remove(at: Int.random(in: 0..<held.count, using: &random))
                balancer.release(pick)
                oracle.open[pick.site, default: 0] -= 1
            default:
                let excluded =
                    Int.random(in: 0..<5, using: &random) == 0
                    ? [site(Int.random(in: 0..<6, using: &random))] : []
                let pick = balancer.pick(excluding: excluded, at: .seconds(1))
                #expect(
                    pick?.site == oracle.pick(excluding: excluded),
                    "seed \(seed), step \(step)"
                )
                if let pick { held.append(pick) }
            }
        }
        let counts = balancer.ownCounts
        #expect(counts == oracle.open.filter { $0.value > 0 }.mapValues(UInt64.init))
    }
}
