import Foundation
import TestSupport
import Testing

@testable import Streaming

/// The laws of streams, over networks of state machines in which anything happens in any order.
@Suite("Laws of streams", .timeLimit(.minutes(5)))
struct NetworkLawTests {
    @Test(
        "whatever comes in whatever order, the laws hold, and nothing is left afterwards",
        arguments: Seeds.some(8)
    )
    func randomSchedules(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for round in 0..<25 {
            let network = ModelNetwork(plan(&random))
            if let broken = run(network, &random) {
                Issue.record("seed \(seed), round \(round): \(broken)")
                return
            }
        }
    }

    private func plan(_ random: inout SeededGenerator) -> ModelPlan {
        let sites = Int.random(in: 1...3, using: &random)
        var plan = ModelPlan(ways: [])
        for site in 1...sites {
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let transits = Int.random(in: 0...2, using: &random)
                plan.ways.append(.init(site: site, transits: transits))
            }
        }
        plan.servers = Int.random(in: 1...2, using: &random)
        plan.clients = Int.random(in: 1...3, using: &random)
        let large = random.chance(10)
        let most = large ? 60_000 : 40
        plan.words.client = Int.random(in: 0...most, using: &random)
        plan.words.server = Int.random(in: 0...most, using: &random)
        plan.chunk = large ? 5_000 : 9
        plan.window = random.chance(50) ? (large ? 16_384 : 16) : 65_536
        plan.isScarce = random.chance(20)
        plan.windowsGrow = random.chance(50)
        plan.isEarly = random.chance(30)
        plan.leavesOutEarly = random.chance(20)
        if random.chance(75) {
            plan.grace = .seconds(10)
            plan.moves = random.chance(50)
            plan.lanesPerHop = Int.random(in: 1...3, using: &random)
        }
        return plan
    }

    /// Anything happens for a while, then only what has to.
    private func run(_ network: ModelNetwork, _ random: inout SeededGenerator) -> String? {
        let faultPercent = [0, 1, 4, 12].randomElement(using: &random) ?? 0
        for _ in 0..<Int.random(in: 0...300, using: &random) {
            if random.chance(faultPercent), let fault = network.faults.randomElement(using: &random)
            {
                network.perform(fault)
            } else if random.chance(2) {
                network.wait(.milliseconds(Int.random(in: 1...2_000, using: &random)))
                if random.chance(20) { network.perform(.deadline) }
            } else if let step = network.steps.randomElement(using: &random) {
                if random.chance(10) { block(network, &random) }
                network.perform(step, chunk: Int.random(in: 1...network.plan.chunk, using: &random))
            }
            if let broken = network.broken { return broken }
        }
        return network.settle { Int.random(in: 0..<$0, using: &random) }
    }

    /// Some socket takes a few bytes only.
    private func block(_ network: ModelNetwork, _ random: inout SeededGenerator) {
        let owners = network.owners.compactMap { $0 as? any ModelSocketOwner }
        owners.randomElement(using: &random)?.socket?.appetite = Int.random(
            in: 0...5,
            using: &random
        )
    }

    @Test("whatever is lost, a stream with a way back ends in order", arguments: Seeds.some(8))
    func resuming(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var resumptions = 0
        for round in 0..<40 {
            var plan = ModelPlan(ways: [
                .init(site: 1, transits: Int.random(in: 0...2, using: &random))
            ])
            plan.words = (
                Int.random(in: 1...60, using: &random), Int.random(in: 1...60, using: &random)
            )
            plan.window = random.chance(50) ? 16 : 65_536
            plan.grace = .seconds(10)
            plan.moves = true
            plan.lanesPerHop = 4
            let network = ModelNetwork(plan)
            // One lane of each hop stays.
            var cuts = 0
            for _ in 0..<400 {
                let faults = network.faults.filter { fault in
                    switch fault {
                    case .cut(let lane, _): lane % plan.lanesPerHop != 3
                    case .move: true
                    default: false
                    }
                }
                if random.chance(4), cuts < 6, let fault = faults.randomElement(using: &random) {
                    cuts += 1
                    network.perform(fault)
                } else if let step = network.steps.randomElement(using: &random) {
                    let chunk = Int.random(in: 1...plan.chunk, using: &random)
                    network.perform(step, chunk: chunk)
                }
                if let broken = network.broken {
                    Issue.record("seed \(seed), round \(round): \(broken)")
                    return
                }
            }
            let broken = network.settle { Int.random(in: 0..<$0, using: &random) }
            let client = network.clients[0]
            resumptions += client.resumptions
            #expect(broken == nil, "seed \(seed), round \(round)")
            #expect(client.client.closedInOrder == true, "seed \(seed), round \(round)")
        }
        #expect(resumptions > 0)
    }

    @Test(
        "first bytes travel with OPEN, or after it where a hop leaves them out",
        arguments: [true, false]
    )
    func early(isLeftOut: Bool) {
        for seed in 0..<200 {
            var random = SeededGenerator(seed: UInt64(seed))
            var plan = ModelPlan(ways: [.init(site: 1, transits: seed % 3)])
            plan.words = (1 + seed % 60, 1 + seed % 7)
            plan.isEarly = true
            plan.leavesOutEarly = isLeftOut
            plan.window = seed % 2 == 0 ? 16 : 65_536
            plan.hasFailures = false
            plan.hasCuts = false
            let network = ModelNetwork(plan)
            let broken = network.settle { Int.random(in: 0..<$0, using: &random) }
            #expect(broken == nil, "seed \(seed)")
            #expect(network.clients[0].opens == 1, "seed \(seed)")
            #expect(network.clients[0].client.closedInOrder == true, "seed \(seed)")
        }
    }

    @Test("two FINs that are acknowledged in one turn reach both ends through a hop")
    func bothEndsAtOnce() {
        for seed in 0..<200 {
            var random = SeededGenerator(seed: UInt64(seed))
            var plan = ModelPlan(ways: [.init(site: 1, transits: 1)])
            plan.words = (1, 1)
            let network = ModelNetwork(plan)
            let broken = network.settle { Int.random(in: 0..<$0, using: &random) }
            #expect(broken == nil, "seed \(seed)")
            #expect(network.clients[0].client.closedInOrder == true, "seed \(seed)")
        }
    }
}
