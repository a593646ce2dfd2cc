import NetworkModel
import TestSupport
import Testing

@testable import SiteControl

@Suite("The steps of a drain")
struct DrainStepsTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private let parameters = DrainParameters(delay: .seconds(5), grace: .seconds(30))

    /// A step, when it was taken, and at which look; the last one is the end.
    private typealias History = [(step: ControlInput, at: Duration, look: Int)]

    /// Looks when it is due, or later; `look` is told the time and answers with what it finds and how late it is.
    private func run(
        _ parameters: DrainParameters,
        look: (_ at: Duration) -> (open: Int?, late: Duration)
    ) -> History {
        run(DrainSteps(parameters, at: start), look: look)
    }

    private func run(
        _ first: DrainSteps,
        look: (_ at: Duration) -> (open: Int?, late: Duration)
    ) -> History {
        var (steps, history) = (first, History())
        var (now, looks) = (start, -1)
        while let deadline = steps.nextDeadline {
            let found = look(max(now, deadline) - start)
            now = max(now, deadline) + found.late
            looks += 1
            for step in steps.looked(found.open, at: now) {
                history.append((step, now - start, looks))
            }
        }
        return history + [(.stop, now - start, looks)]
    }

    @Test("without streams: the listeners close after the delay, and each step waits for two looks")
    func quiet() {
        let history = run(parameters) { _ in (0, .zero) }
        #expect(history.map(\.step) == [.stopListening, .stopStreams, .stop])
        #expect(history.map(\.at) == [.seconds(5), .milliseconds(5_500), .seconds(6)])
    }

    @Test("streams are waited for, and reset at the end of the grace")
    func streams() {
        let short = run(parameters) { ($0 < .seconds(10) ? 3 : 0, .zero) }
        #expect(short.map(\.at) == [.seconds(5), .milliseconds(10_250), .milliseconds(10_750)])
        let long = run(parameters) { _ in (3, .zero) }
        #expect(long.map(\.step) == [.stopListening, .stopStreams, .stop])
        #expect(long.map(\.at) == [.seconds(5), .seconds(35), .seconds(35)])
    }

    @Test("without a delay and a grace it ends at once, by all steps")
    func nothing() {
        let history = run(DrainParameters(delay: .zero, grace: .zero)) { _ in (3, .zero) }
        #expect(history.map(\.step) == [.stopListening, .stopStreams, .stop])
        #expect(history.allSatisfy { $0.at == .zero })
    }

    @Test("after its workload a sidecar ends with the last stream, at latest after the grace")
    func afterWorkload() {
        let steps = DrainSteps(afterWorkload: .seconds(30), at: start)
        let quiet = run(steps) { _ in (0, .zero) }
        #expect(quiet.map(\.step) == [.stopListening, .stopStreams, .stop])
        #expect(quiet.map(\.at) == [.milliseconds(50), .milliseconds(100), .milliseconds(100)])
        let busy = run(steps) { ($0 < .seconds(2) ? 1 : 0, .zero) }
        #expect(busy.map(\.at) == [.seconds(2), .milliseconds(2_050), .milliseconds(2_050)])
        let late = run(steps) { ($0 == .milliseconds(100) ? 1 : 0, .zero) }
        #expect(late.map(\.at) == [.milliseconds(50), .milliseconds(150), .milliseconds(150)])
        let endless = run(steps) { _ in (1, .zero) }
        #expect(endless.map(\.step) == [.stopListening, .stopStreams, .stop])
        #expect(endless.allSatisfy { $0.at == .seconds(30) })
        // A look that no loop answered, or after a pause, finds nothing out.
        let paused = run(steps) {
            ($0 < .seconds(1) ? nil : 0, $0 == .seconds(1) ? .seconds(3) : .zero)
        }
        #expect(
            paused.map(\.at) == [.milliseconds(4_050), .milliseconds(4_100), .milliseconds(4_100)]
        )
    }

    @Test("a process that is stopped for four seconds accepts for as long as it would have")
    func stopped() {
        let history = run(parameters) {
            ($0 > .seconds(10) ? 0 : 1, $0 == .seconds(1) ? .seconds(4) : .zero)
        }
        #expect(history.first?.at == .seconds(9) + .milliseconds(250))
    }

    @Test("a look after a pause is not the second of two, nor is one that a loop did not answer")
    func pauses() {
        var steps = DrainSteps(DrainParameters(delay: .zero, grace: .seconds(30)), at: start)
        var now = start
        func look(_ open: Int?, after wait: Duration) -> [ControlInput] {
            now = now + wait
            return steps.looked(open, at: now)
        }
        #expect(look(0, after: .zero) == [.stopListening])
        #expect(look(0, after: .milliseconds(250)) == [])
        #expect(look(0, after: .seconds(3)) == [], "the process stood still")
        #expect(look(0, after: .milliseconds(250)) == [])
        #expect(look(nil, after: .milliseconds(250)) == [], "a loop stands still")
        #expect(look(0, after: .milliseconds(250)) == [])
        #expect(look(0, after: .milliseconds(250)) == [.stopStreams])
    }

    @Test(
        "whatever stands still and when, the steps keep their order and their times",
        arguments: Seeds.some(8)
    )
    func random(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let delay = Duration.milliseconds(Int64.random(in: 0...6_000, using: &random))
            let end = delay + .milliseconds(Int64.random(in: 0...10_000, using: &random))
            let (stops, open) = (
                Int.random(in: 2...20, using: &random), Int.random(in: 1...3, using: &random)
            )
            var looks: [(isQuiet: Bool, ran: Duration)] = []
            var (last, ran) = (Duration.zero, Duration.zero)
            let history = run(DrainParameters(delay: delay, grace: end - delay)) { at in
                let isStopped = Int.random(in: 0..<stops, using: &random) == 0
                let late = Duration.milliseconds(
                    isStopped ? Int64.random(in: 751...9_000, using: &random) : 0
                )
                let isMeasured = Int.random(in: 0..<6, using: &random) > 0
                let found = isMeasured ? Int.random(in: 0..<open, using: &random) : nil
                if !isStopped, isMeasured { ran = ran + (at - last) }
                last = at + late
                looks.append((found == 0 && !isStopped, ran))
                return (found, late)
            }
            #expect(history.map(\.step) == [.stopListening, .stopStreams, .stop])
            #expect(history[0].at >= end || looks[history[0].look].ran >= delay)
            for (before, step) in zip(history, history.dropFirst()) where step.at < end {
                let since = looks[(before.look + 1)...step.look]
                #expect(since.count >= 2 && since.suffix(2).allSatisfy(\.isQuiet))
            }
            #expect(history[2].at <= end + .milliseconds(9_000))
        }
    }
}
