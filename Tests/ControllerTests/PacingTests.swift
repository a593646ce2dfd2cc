import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("When a status is written")
struct PacingTests {
    private let place = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "a"))

    private func difference(
        _ before: ServiceStatus,
        _ after: ServiceStatus,
        generation: Int64? = nil
    ) -> StatusDifference {
        .between(before, after, generation: generation)
    }

    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("what a status says comes before what it counts; cursors are nothing")
    func differences() throws {
        var before = ServiceStatus()
        before.connections = .init(active: 100, opened: 500)
        var after = before
        #expect(difference(before, after) == .none)
        after.connections?.active = 105
        #expect(difference(before, after) == .fewCounts)
        after.connections?.active = 120
        #expect(difference(before, after) == .manyCounts)
        after.connections?.active = 0
        #expect(difference(before, after) == .manyCounts)
        after.failovers = 1
        #expect(difference(before, after) == .observation)
        after.cursors = [ProxyCursor(proxy: try Samples.proxy(1), failovers: 1)]
        #expect(difference(before, after) == .booking)
        after = before
        after.observedGeneration = 4
        #expect(difference(before, after, generation: 4) == .answer)
    }

    @Test("that a new spec is worked on is told apart from what is found out about it")
    func progress() {
        func status(
            _ generation: Int64?,
            _ ready: Condition.Status,
            _ reason: Reason
        ) -> ServiceStatus {
            var status = ServiceStatus()
            status.observedGeneration = generation
            status.conditions.set("Ready", ready, reason: reason.rawValue, at: Samples.now)
            return status
        }
        let before = status(1, .yes, .ready)
        #expect(difference(before, status(1, .no, .progressing), generation: 2) == .progress)
        #expect(difference(before, status(2, .no, .progressing), generation: 2) == .progress)
        #expect(difference(before, status(2, .no, .invalid), generation: 2) == .answer)
        #expect(difference(before, status(2, .yes, .ready), generation: 2) == .answer)
        #expect(
            difference(ServiceStatus(), status(nil, .no, .progressing), generation: 1) == .progress
        )
        // What stands there would be taken for true of the spec as it is.
        #expect(difference(before, status(1, .no, .progressing), generation: 1) == .observation)
    }

    @Test("that a spec is worked on is told after a second, and not where the answer comes before")
    func holdback() {
        var pacer = StatusPacer()
        #expect(pacer.decide(place, .progress, at: at(0)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .progress, at: at(400)) == .wait(.milliseconds(600)))
        #expect(pacer.decide(place, .answer, at: at(500)) == .write)
        // The next spec has a second of its own; one that fails to be written is tried again at once.
        #expect(pacer.decide(place, .progress, at: at(1500)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .progress, at: at(2500)) == .write)
        #expect(pacer.decide(place, .progress, at: at(2510)) == .write)
        pacer.wrote(place, .progress, at: at(2510))
        #expect(pacer.decide(place, .progress, at: at(2600)) == .wait(.seconds(1)))
        // An object of that name that is made later begins anew.
        pacer.forget(place)
        #expect(pacer.decide(place, .progress, at: at(9000)) == .wait(.seconds(1)))
    }

    @Test("what has come true is told apart from all other changes")
    func improvements() {
        func status(_ truths: [ConditionType: Bool]) -> ServiceStatus {
            var status = ServiceStatus()
            for (type, isTrue) in truths {
                status.conditions.set(
                    type.rawValue,
                    isTrue ? .yes : .no,
                    reason: "R",
                    at: Samples.now
                )
            }
            return status
        }
        let before = status([.ready: false, .hasTargets: true])
        func difference(_ truths: [ConditionType: Bool]) -> StatusDifference {
            .between(before, status(truths), generation: nil)
        }
        #expect(difference([.ready: true, .hasTargets: true]) == .improvement)
        #expect(difference([.ready: false, .hasTargets: false]) == .observation)
        #expect(difference([.ready: true, .hasTargets: false]) == .observation)
        #expect(difference([.ready: false, .hasTargets: true, .stalled: true]) == .observation)
    }

    @Test("K16: bad news is written at once, then after 2, 4, 8 and 10 s; good news never waits")
    func pace() {
        var pacer = StatusPacer()
        func write(_ difference: StatusDifference, at time: UInt64) -> StatusPacer.Decision {
            let decision = pacer.decide(place, difference, at: at(time))
            if decision == .write { pacer.wrote(place, difference, at: at(time)) }
            return decision
        }
        #expect(write(.observation, at: 0) == .write)
        #expect(write(.observation, at: 50) == .wait(.milliseconds(1950)))
        #expect(write(.observation, at: 2000) == .write)
        #expect(write(.improvement, at: 2500) == .write)
        #expect(write(.observation, at: 3000) == .wait(.milliseconds(7500)))
        #expect(write(.booking, at: 3001) == .write)
        #expect(write(.observation, at: 10_500) == .write)
        #expect(write(.observation, at: 20_000) == .wait(.milliseconds(500)))
        // A write that fails is tried again as if it had not been.
        #expect(pacer.decide(place, .observation, at: at(20_500)) == .write)
        #expect(pacer.decide(place, .observation, at: at(20_501)) == .write)
        // Whoever edits starts anew, and so does what was calm.
        #expect(write(.observation, at: 20_502) == .write)
        #expect(write(.answer, at: 20_600) == .write)
        #expect(write(.observation, at: 20_601) == .write)
        #expect(write(.observation, at: 40_601) == .write)
        #expect(write(.observation, at: 40_602) == .wait(.milliseconds(1999)))
        // Others are not held back.
        let other = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "b"))
        #expect(pacer.decide(other, .observation, at: at(40_602)) == .write)
    }

    @Test("K16: a link that flaps every 2.5 s costs fewer writes, and ends as it is")
    func flapping() {
        var pacer = StatusPacer()
        var isStoredUp = true
        var writes = 0
        // Five times lost and connected within 25 s; asked again whenever it was told to wait.
        for time in stride(from: UInt64(0), through: 60_000, by: 10) {
            let isUp = time >= 25_000 || (time / 2500) % 2 == 1
            guard isUp != isStoredUp else { continue }
            let difference: StatusDifference = isUp ? .improvement : .observation
            guard pacer.decide(place, difference, at: at(time)) == .write else { continue }
            pacer.wrote(place, difference, at: at(time))
            isStoredUp = isUp
            writes += 1
        }
        #expect(isStoredUp)
        #expect(writes == 6, "10 without a pace")
    }

    @Test("counts wait, are written once, and wait again")
    func waits() {
        var pacer = StatusPacer()
        #expect(pacer.decide(place, .manyCounts, at: at(0)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .manyCounts, at: at(100)) == .wait(.milliseconds(300)))
        #expect(pacer.decide(place, .fewCounts, at: at(400)) == .write)
        #expect(pacer.decide(place, .none, at: at(401)) == .skip)
        #expect(pacer.decide(place, .fewCounts, at: at(500)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .answer, at: at(501)) == .write)
    }

    @Test("a measurement waits for a minute, and gives its place up for counts")
    func measurements() {
        var pacer = StatusPacer()
        #expect(pacer.decide(place, .measurement, at: at(0)) == .wait(.seconds(60)))
        #expect(pacer.decide(place, .measurement, at: at(1000)) == .wait(.seconds(59)))
        #expect(pacer.decide(place, .fewCounts, at: at(2000)) == .wait(.seconds(1)))
        #expect(pacer.decide(place, .manyCounts, at: at(2100)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .measurement, at: at(3200)) == .write)
        #expect(pacer.decide(place, .measurement, at: at(3300)) == .wait(.seconds(60)))
    }

    @Test("an object that is asked about all the time keeps no other one waiting")
    func reservesNothing() {
        var pacer = StatusPacer()
        let other = StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "b"))
        for turn in 0..<1000 {
            let difference: StatusDifference = turn % 2 == 0 ? .fewCounts : .manyCounts
            _ = pacer.decide(place, difference, at: at(UInt64(turn)))
        }
        #expect(pacer.decide(other, .fewCounts, at: at(1000)) == .wait(.seconds(1)))
    }

    @Test(
        "those that wait are told turns one after another; the oldest comes first, the gone give way"
    )
    func turns() {
        var pacer = StatusPacer()
        let places = (0..<4).map {
            StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "\($0)"))
        }
        for place in places { _ = pacer.decide(place, .manyCounts, at: at(0)) }
        // All are due now: one is written, the others come back one by one.
        #expect(pacer.decide(places[1], .manyCounts, at: at(400)) == .wait(.milliseconds(200)))
        #expect(pacer.decide(places[3], .manyCounts, at: at(400)) == .wait(.milliseconds(600)))
        #expect(pacer.decide(places[0], .manyCounts, at: at(400)) == .write)
        #expect(pacer.decide(places[2], .manyCounts, at: at(400)) == .wait(.milliseconds(400)))
        pacer.forget(places[1])
        #expect(pacer.decide(places[2], .manyCounts, at: at(600)) == .write)
        #expect(pacer.count == 1)
        // One that never comes back does not hold its place for ever.
        #expect(pacer.decide(place, .manyCounts, at: at(700)) == .wait(.milliseconds(400)))
        #expect(pacer.decide(place, .manyCounts, at: at(3000)) == .write)
    }

    @Test("a hundred objects share five writes a second, first come first served")
    func budget() {
        var pacer = StatusPacer()
        let places = (0..<100).map {
            StatusPacer.ObjectPlace(kind: "Service", key: ObjectKey(name: "\($0)"))
        }
        for place in places { _ = pacer.decide(place, .manyCounts, at: at(0)) }
        var written: [Int] = []
        for time in stride(from: UInt64(0), through: 10_000, by: 100) {
            for (index, place) in places.enumerated() where !written.contains(index) {
                if pacer.decide(place, .manyCounts, at: at(time)) == .write {
                    written.append(index)
                }
            }
        }
        #expect(written == Array(0..<49))
    }
}
