import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// When the parts of the control want to be called.
@Suite("Paces of the control")
struct PacesTests {
    private func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: 1_000_000_000) + .milliseconds(milliseconds)
    }

    @Test(
        "an agenda gives what is due in order, the newest time of each, and nothing twice",
        arguments: Seeds.some()
    )
    func agenda(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var (agenda, truth) = (Agenda<Int>(), [Int: Int64]())
        var now: Int64 = 0
        for _ in 0..<2_000 {
            let key = Int.random(in: 0..<20, using: &random)
            if Int.random(in: 0..<4, using: &random) == 0 {
                now += Int64.random(in: 0...5, using: &random)
                let due = agenda.popDue(at: at(now))
                #expect(Set(due) == Set(truth.filter { $0.value <= now }.keys))
                #expect(Set(due).count == due.count)
                let times = due.compactMap { truth[$0] }
                #expect(times == times.sorted())
                truth = truth.filter { $0.value > now }
            } else {
                let time =
                    Bool.random(using: &random)
                    ? now + Int64.random(in: 1...30, using: &random) : nil
                truth[key] = time
                agenda.set(key, at: time.map(at))
            }
            #expect(agenda.next == truth.values.min().map(at))
        }
    }

    @Test(
        "the snapshot is built 200 ms after a change, in steps, and again for what changed meanwhile"
    )
    func snapshot() {
        var pace = SnapshotPace()
        #expect(pace.nextDeadline == nil)
        pace.changed(at: at(0))
        pace.changed(at: at(150))
        #expect(pace.nextDeadline == at(200))
        let due1 = pace.handleDeadline(at(199))
        #expect(due1 == .nothing)
        let due2 = pace.handleDeadline(at(200))
        #expect(due2 == .measure)
        let due3 = pace.handleDeadline(at(200))
        #expect(due3 == .nothing, "it waits for the figures")
        pace.changed(at: at(201))
        pace.measured(at: at(202))
        let due4 = pace.handleDeadline(at(202))
        #expect(due4 == .build)
        pace.built(false, at: at(203))
        let due5 = pace.handleDeadline(at(203))
        #expect(due5 == .build)
        pace.built(true, at: at(204))
        #expect(pace.nextDeadline == at(404))
        let due6 = pace.handleDeadline(at(404))
        #expect(due6 == .measure)
        pace.measured(at: at(404))
        let due7 = pace.handleDeadline(at(404))
        #expect(due7 == .build)
        pace.built(true, at: at(404))
        #expect(pace.nextDeadline == nil)
        pace.start(at: at(500))
        #expect(pace.nextDeadline == at(1_500))
        let due8 = pace.handleDeadline(at(1_500))
        #expect(due8 == .nothing)
        #expect(pace.nextDeadline == at(1_700), "once a second at least")
    }

    @Test("counts leave at once after quiet, then every 50 ms, to neighbors that are there")
    func counts() {
        var teller = CountsTeller()
        teller.touch([port("a/b")], at: at(0))
        #expect(teller.nextDeadline == nil, "nobody is there")
        let neighbor = proxy(site(1), 2)
        teller.neighborUp(neighbor, at: at(10))
        #expect(teller.nextDeadline == at(10))
        let first = teller.take(at: at(10))
        #expect(first.neighbors.map(\.isAnew) == [true])
        #expect(first.services == [port("a/b")])
        teller.touch([port("c/d")], at: at(11))
        teller.touch([port("e/f")], at: at(12))
        #expect(teller.nextDeadline == at(60))
        let early = teller.take(at: at(59))
        #expect(early.neighbors.isEmpty)
        let second = teller.take(at: at(60))
        #expect(second.neighbors.map(\.isAnew) == [false])
        #expect(second.services == [port("c/d"), port("e/f")])
        teller.disturbed(neighbor, at: at(200))
        #expect(teller.nextDeadline == at(200))
        let third = teller.take(at: at(200))
        #expect(third.neighbors.map(\.isAnew) == [true])
    }

    @Test("a gateway settles 500 ms after its Links are decided, and after 3 s in any case")
    func readiness() {
        var quick = Readiness()
        #expect(quick.nextDeadline == nil && !quick.hasSettled)
        quick.settle(at: at(0))
        for time in stride(from: Int64(100), through: 800, by: 100) {
            quick.look(isUndecided: time <= 300, at: at(time))
            #expect(quick.hasSettled == (time >= 800))
        }
        var slow = Readiness()
        slow.settle(at: at(0))
        for time in stride(from: Int64(100), through: 3_000, by: 100) {
            #expect(!slow.hasSettled)
            slow.look(isUndecided: true, at: at(time))
        }
        #expect(slow.hasSettled && slow.nextDeadline == nil)
    }

    @Test("steps take each once, in order")
    func steps() {
        var queue = StepQueue<Int>()
        queue.append([5, 3, 1])
        queue.append([3, 2])
        let first = queue.take(2)
        #expect(first == [1, 3])
        queue.append([1])
        let rest = queue.take(9)
        #expect(rest == [5, 2, 1])
        #expect(queue.isEmpty)
    }
}
