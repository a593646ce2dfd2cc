import TestSupport
import Testing

@testable import Streaming

/// Every schedule of a small network: two lanes, two attempts, four bytes each way.
///
/// State machines own memory and cannot be copied: for each branch but one, a schedule is played again from its beginning.
@Suite("Every schedule of a small network", .timeLimit(.minutes(4)))
struct SmallModelTests {
    /// The way to a state, from its last step back to the first.
    private final class Path {
        let step: ModelStep?
        let before: Path?
        let faults: Int
        let deadlines: Int

        init(_ step: ModelStep? = nil, after before: Path? = nil, faults: Int, deadlines: Int) {
            (self.step, self.before) = (step, before)
            (self.faults, self.deadlines) = (faults, deadlines)
        }

        var steps: [ModelStep] {
            var steps: [ModelStep] = []
            var path = self
            while let step = path.step, let before = path.before {
                steps.append(step)
                path = before
            }
            return steps.reversed()
        }
    }

    /// A state in 128 bits: that two states of thousands share one does not happen by accident.
    private struct Key: Hashable {
        var low: UInt64 = 0xCBF2_9CE4_8422_2325
        var high: UInt64 = 0x9E37_79B9_7F4A_7C15

        init(_ words: [UInt64]) {
            for word in words {
                low = (low ^ word) &* 0x100_0000_01B3
                low ^= low >> 29
                high = (high &+ word) &* 0xBF58_476D_1CE4_E5B9
                high ^= high >> 31
            }
        }
    }

    private final class Search {
        let plan: ModelPlan
        /// What may go wrong in one schedule, and how often a time limit is over while something else could happen.
        let faultsMax: Int
        let deadlinesMax: Int
        var seen: Set<Key> = []
        var schedules = 0
        var broken: String?

        init(_ plan: ModelPlan, faults: Int, deadlines: Int) {
            self.plan = plan
            faultsMax = faults
            deadlinesMax = deadlines
        }

        /// Depth first: the first branch of each state goes on with the network that is there.
        func run() {
            var waiting = [Path(faults: 0, deadlines: 0)]
            while broken == nil, let next = waiting.popLast() {
                let network = ModelNetwork(plan)
                for step in next.steps { network.perform(step) }
                follow(next, network, &waiting)
            }
        }

        private func follow(_ start: Path, _ network: ModelNetwork, _ waiting: inout [Path]) {
            var path = start
            while true {
                if let found = network.broken { return report(found, path) }
                let budget = [UInt64(path.faults), UInt64(path.deadlines)]
                guard seen.insert(Key(network.fingerprint + budget)).inserted else { return }
                let branches = branches(network, path)
                guard let first = branches.first, let step = first.step else {
                    schedules += 1
                    // Only time is left to pass.
                    if let found = network.settle({ _ in 0 }) { report(found, path) }
                    return
                }
                waiting += branches.dropFirst()
                path = first
                network.perform(step)
            }
        }

        private func branches(_ network: ModelNetwork, _ path: Path) -> [Path] {
            let (faults, deadlines) = (path.faults, path.deadlines)
            var branches = network.steps.map {
                Path($0, after: path, faults: faults, deadlines: deadlines)
            }
            if faults < faultsMax {
                branches += network.faults.map {
                    Path($0, after: path, faults: faults + 1, deadlines: deadlines)
                }
            }
            if deadlines < deadlinesMax, network.nextDeadline != nil {
                let next = Path(.deadline, after: path, faults: faults, deadlines: deadlines + 1)
                branches.append(next)
            }
            return branches
        }

        private func report(_ found: String, _ path: Path) {
            broken = broken ?? "\(found), after \(path.steps)"
        }
    }

    struct Small: CustomTestStringConvertible, Sendable {
        var name: String
        var transits: [Int]
        var chunk: Int
        var faults: Int
        var deadlines: Int
        var lanes = 1
        var resumes = false
        /// Only paths are lost, and streams move.
        var onlyPaths = false
        var onlyMoves = false
        var serverWords = 4
        var isEarly = false

        var testDescription: String { name }
    }

    @Test(
        "the laws hold",
        arguments: [
            Small(
                name: "two targets, two frames each way",
                transits: [0, 0],
                chunk: 2,
                faults: 0,
                deadlines: 0
            ),
            Small(
                name: "two targets, one frame each way, a fault anywhere",
                transits: [0, 0],
                chunk: 4,
                faults: 1,
                deadlines: 0
            ),
            Small(
                name: "a hop between two lanes, one frame each way, a fault anywhere",
                transits: [1],
                chunk: 4,
                faults: 1,
                deadlines: 0
            ),
            Small(
                name: "two lanes and three epochs, one frame, two moves anywhere",
                transits: [0],
                chunk: 4,
                faults: 2,
                deadlines: 0,
                lanes: 2,
                resumes: true,
                onlyPaths: true,
                onlyMoves: true,
                serverWords: 0
            ),
            Small(
                name: "two lanes, two frames, a loss or move anywhere",
                transits: [0],
                chunk: 2,
                faults: 1,
                deadlines: 0,
                lanes: 2,
                resumes: true,
                onlyPaths: true,
                serverWords: 0
            ),
            Small(
                name: "a hop or none, one frame, a loss or move anywhere",
                transits: [0, 1],
                chunk: 4,
                faults: 1,
                deadlines: 0,
                resumes: true,
                onlyPaths: true,
                serverWords: 0
            ),
            Small(
                name: "first bytes with OPEN",
                transits: [0, 1],
                chunk: 4,
                faults: 1,
                deadlines: 1,
                isEarly: true
            ),
        ]
    )
    func everySchedule(_ small: Small) {
        var plan = ModelPlan(
            ways: small.transits.enumerated().map {
                // With a way back, all lead to one target.
                ModelPlan.Way(site: small.resumes ? 1 : $0.offset + 1, transits: $0.element)
            }
        )
        plan.lanesPerHop = small.lanes
        plan.grace = small.resumes ? .seconds(10) : .zero
        plan.moves = small.resumes
        plan.hasFailures = !small.onlyPaths
        plan.hasCuts = !small.onlyMoves
        plan.words.server = small.serverWords
        plan.epochsMax = 2
        plan.opensMax = 2
        plan.chunk = small.chunk
        plan.isEarly = small.isEarly
        let search = Search(plan, faults: small.faults, deadlines: small.deadlines)
        search.run()
        print("\(small.name): \(search.seen.count) states, \(search.schedules) ends")
        #expect(search.broken == nil)
        #expect(search.seen.count > 500)
    }
}
