import NetworkModel
import TestSupport
import Testing

@Suite("Costs by the round-trip time")
struct AutoCostTests {
    private func cost(_ value: Int32) throws -> LinkCost { try #require(LinkCost(value)) }

    private func auto(_ least: Int32 = 1, _ most: Int32 = 1_000) throws -> AutoCost {
        AutoCost(try #require(AutoCost.Bounds(least: try cost(least), most: try cost(most))))
    }

    /// Measures once a second for so long; the costs that it had, one after the other.
    private func costs(
        _ auto: inout AutoCost,
        seconds: Range<Int>,
        _ milliseconds: (Int) -> Double
    ) -> [Int32] {
        var seen: [Int32] = []
        for second in seconds {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            auto.take(UInt64(milliseconds(second) * 1_000), at: now)
            if let cost = auto.cost?.value, seen.last != cost { seen.append(cost) }
        }
        return seen
    }

    @Test("it is one for each millisecond, in steps and within bounds, from two seconds on")
    func measured() throws {
        for (time, expected) in [(0.2, 1), (1.4, 2), (9.0, 12), (80.0, 87), (5_000.0, 500)] {
            var auto = try auto(1, 500)
            #expect(costs(&auto, seconds: 1..<100) { _ in time } == [Int32(expected)])
        }
        var floor = try auto(20)
        #expect(costs(&floor, seconds: 1..<10) { _ in 3 } == [20])
        let (three, two) = (try cost(3), try cost(2))
        #expect(AutoCost.Bounds(least: three, most: two) == nil)
    }

    @Test("a way that is longer for good is followed within 30 s, in one step")
    func followed() throws {
        var auto = try auto()
        _ = costs(&auto, seconds: 1..<100) { _ in 10 }
        #expect(costs(&auto, seconds: 100..<131) { _ in 100 } == [12, 130])
        #expect(costs(&auto, seconds: 131..<500) { _ in 100 } == [130])
        #expect(costs(&auto, seconds: 500..<531) { _ in 10 } == [130, 12])
    }

    @Test("a queue that comes and goes, noise, and a time at the edge of a step move nothing")
    func steady() throws {
        var queue = try auto()
        _ = costs(&queue, seconds: 1..<60) { _ in 10 }
        // Nine seconds of ten the load fills a queue.
        #expect(costs(&queue, seconds: 60..<3_600) { $0 % 10 == 0 ? 10 : 400 } == [12])
        // A while of each, to and fro.
        var swinging = try auto()
        _ = costs(&swinging, seconds: 1..<60) { _ in 10 }
        #expect(costs(&swinging, seconds: 60..<3_600) { ($0 / 10) % 2 == 0 ? 10 : 400 } == [12])
        for seed in Seeds.some(20) {
            var random = SeededGenerator(seed: seed)
            let middle = Double.random(in: 1...300, using: &random)
            var noisy = try auto()
            let noise = (0..<3_600).map { _ in
                middle * Double.random(in: 0.8...1.25, using: &random)
            }
            #expect(costs(&noisy, seconds: 1..<3_600) { noise[$0] }.count == 1, "seed \(seed)")
        }
    }

    @Test("it moves at most three times a minute, whatever is measured")
    func bounded() throws {
        for seed in Seeds.some(20) {
            var random = SeededGenerator(seed: seed)
            var auto = try auto()
            let wild = (0..<3_600).map { _ in Double.random(in: 0.1...2_000, using: &random) }
            let seen = costs(&auto, seconds: 1..<3_600) { wild[$0 / 15 * 15] }
            #expect(seen.count <= 3_600 / 20 + 1, "seed \(seed)")
        }
    }

    @Test("while the Link is down its cost stays, and what comes then begins a while of its own")
    func down() throws {
        var auto = try auto()
        _ = costs(&auto, seconds: 1..<60) { _ in 10 }
        auto.pause()
        #expect(auto.cost == (try cost(12)))
        #expect(costs(&auto, seconds: 100..<130) { _ in 10 } == [12])
    }
}
