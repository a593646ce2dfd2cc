import Balancing
import NetworkModel
import TestSupport
import Testing

@Suite("Failover")
struct FailoverTests {
    @Test("a refused target is ejected, and the retry opens at the next best one")
    func retry() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1), (2, 9, 1)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, reason: .connectRefused, at: .seconds(1))
        let second = try unwrap(balancer.pick(excluding: [first.site], at: .seconds(1)))
        #expect(second.site == site(1))
        balancer.opened(second, at: .seconds(1.25))
        let records = balancer.takeRecords()
        #expect(records.count == 1)
        #expect(records.first?.from == site(0))
        #expect(records.first?.to == site(1))
        #expect(records.first?.reason == .connectRefused)
        #expect(records.first?.duration == .milliseconds(250))
        #expect(balancer.states[0].own == 0)
        #expect(
            balancer.states[0].condition == .ejected(.connectRefused, until: .seconds(1.5))
        )
    }

    @Test("a probe is one connection; its success is the failback, and there is one record of each")
    func probe() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, reason: .connectTimeout, at: .seconds(1))
        for _ in 0..<3 {
            let pick = try unwrap(balancer.pick(at: .seconds(1.1)))
            balancer.opened(pick, at: .seconds(1.1))
        }
        #expect(balancer.takeRecords().count == 1)
        let probe = try unwrap(balancer.pick(at: .seconds(2)))
        #expect(probe.site == site(0))
        let beside = try unwrap(balancer.pick(at: .seconds(2)))
        #expect(beside.site == site(1), "one probe at a time")
        balancer.opened(probe, at: .seconds(2))
        let records = balancer.takeRecords()
        #expect(records.map(\.reason) == [.failback])
        #expect(records.first?.from == site(1))
        #expect(records.first?.to == site(0))
        #expect(balancer.pick(at: .seconds(2))?.site == site(0))
        #expect(balancer.takeRecords().isEmpty)
    }

    @Test("what a target says of the rights of one client holds for its whole site")
    func heard() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1)])
        let (first, other) = (site(0), site(1))
        func heard(of site: SiteID, isAllowed: Bool) -> Bool {
            balancer.heard(of: site, isAllowed: isAllowed, at: .seconds(1))
        }
        #expect(!heard(of: first, isAllowed: true))
        #expect(heard(of: first, isAllowed: false))
        #expect(!heard(of: first, isAllowed: false), "no news")
        #expect(balancer.pick(at: .seconds(1))?.site == other)
        #expect(balancer.states[0].condition == .ejected(.notAllowed, until: .seconds(1.5)))
        #expect(heard(of: first, isAllowed: true))
        let pick = try unwrap(balancer.pick(at: .seconds(1)))
        #expect(pick.site == first)
        // Of anything else that speaks against it, it says nothing.
        balancer.failed(pick, reason: .connectRefused, at: .seconds(1))
        #expect(!heard(of: first, isAllowed: true))
        #expect(!heard(of: first, isAllowed: false))
        #expect(!heard(of: site(9), isAllowed: false))
        #expect(balancer.states[0].condition == .ejected(.connectRefused, until: .seconds(1.5)))
    }

    @Test("failed probes back off up to ten seconds; failures of older picks change nothing")
    func backOff() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 500, 1)])
        let old = (0..<5).compactMap { _ in balancer.pick(at: .seconds(1)) }
        for pick in old { balancer.failed(pick, reason: .connectRefused, at: .seconds(1)) }
        var now = 1.0
        for wait in [0.5, 1, 2, 4, 8, 10, 10] {
            let early = try unwrap(balancer.pick(at: .seconds(now + wait - 0.01)))
            #expect(early.site == site(1))
            balancer.release(early)
            now += wait
            let probe = try unwrap(balancer.pick(at: .seconds(now)))
            #expect(probe.site == site(0))
            balancer.failed(probe, reason: .connectRefused, at: .seconds(now))
        }
    }

    @Test("a probe that is given up leaves the way open for the next")
    func abandonedProbe() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, reason: .connectRefused, at: .seconds(1))
        let probe = try unwrap(balancer.pick(at: .seconds(2)))
        balancer.release(probe)
        #expect(balancer.pick(at: .seconds(2))?.site == site(0))
    }

    @Test("while every target is ejected the best is tried all the same")
    func allEjected() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1)])
        for _ in 0..<2 {
            let pick = try unwrap(balancer.pick(at: .seconds(1)))
            balancer.failed(pick, reason: .connectRefused, at: .seconds(1))
        }
        #expect(balancer.hasTarget)
        #expect(balancer.pick(at: .seconds(1.1))?.site == site(0))
        #expect(balancer.pick(excluding: [site(0), site(1)], at: .seconds(1.1)) == nil)
    }

    @Test(
        "a lost target with connections gives one record with what was lost, a return gives a failback"
    )
    func lostLink() throws {
        var balancer = ServiceBalancer([(0, 1, 1), (1, 5, 1)])
        let held = (0..<3).compactMap { _ in balancer.pick(at: .seconds(1)) }
        for pick in held { balancer.opened(pick, at: .seconds(1)) }
        for pick in held { balancer.lost(pick, at: .seconds(2)) }
        let rest = [Target(site: site(1), reach: .usable(cost: PathCost(5), endpoints: 1))]
        let gone = Target(site: site(0), reach: .absent(.siteLost))
        balancer.update(rest + [gone], at: .seconds(2))
        let pick = try unwrap(balancer.pick(at: .seconds(2.5)))
        #expect(balancer.takeRecords().isEmpty, "not before a connection opened elsewhere")
        balancer.opened(pick, at: .seconds(2.75))
        let record = try unwrap(balancer.takeRecords().first)
        #expect(record.from == site(0) && record.to == site(1))
        #expect(record.reason == .siteLost && record.lost == 3)
        #expect(record.at == .seconds(2) && record.duration == .milliseconds(750))
        // Routing forgets the site, and much later it is back.
        balancer.update(rest, at: .seconds(90))
        balancer.update(
            rest + [Target(site: site(0), reach: .usable(cost: PathCost(1), endpoints: 1))],
            at: .seconds(120)
        )
        let back = try unwrap(balancer.pick(at: .seconds(121)))
        balancer.opened(back, at: .seconds(121))
        #expect(balancer.takeRecords().map(\.reason) == [.failback])
    }

    @Test("a target that held nothing and would not have won leaves no record")
    func uninvolved() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 500, 1)])
        _ = balancer.hold(3)
        balancer.update(
            [Target(site: site(0), reach: .usable(cost: .zero, endpoints: 1))],
            at: .seconds(2)
        )
        let pick = try unwrap(balancer.pick(at: .seconds(3)))
        balancer.opened(pick, at: .seconds(3))
        #expect(balancer.takeRecords().isEmpty)
    }

    @Test("a flap before any connection moved leaves no record")
    func flap() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 500, 1)])
        _ = balancer.hold(3)
        let backup = Target(site: site(1), reach: .usable(cost: PathCost(500), endpoints: 1))
        balancer.update([backup], at: .seconds(2))
        balancer.update(
            [Target(site: site(0), reach: .usable(cost: .zero, endpoints: 1)), backup],
            at: .seconds(2)
        )
        let pick = try unwrap(balancer.pick(at: .seconds(3)))
        balancer.opened(pick, at: .seconds(3))
        #expect(pick.site == site(0))
        #expect(balancer.takeRecords().isEmpty)
    }

    @Test("connections picked before the judgment do not complete a failover")
    func earlierPick() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 0, 1)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        let second = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, reason: .connectRefused, at: .seconds(2))
        balancer.opened(second, at: .seconds(2))
        #expect(balancer.takeRecords().isEmpty)
        let later = try unwrap(balancer.pick(at: .seconds(2.1)))
        balancer.opened(later, at: .seconds(2.1))
        #expect(balancer.takeRecords().count == 1)
    }

    @Test("ready endpoints after none clear the ejection at once")
    func readyAgain() throws {
        var balancer = ServiceBalancer([(0, 0, 1), (1, 5, 1)])
        let first = try unwrap(balancer.pick(at: .seconds(1)))
        balancer.failed(first, reason: .connectRefused, at: .seconds(1))
        let backup = Target(site: site(1), reach: .usable(cost: PathCost(5), endpoints: 1))
        balancer.update(
            [Target(site: site(0), reach: .absent(.noEndpoints)), backup],
            at: .seconds(1.1)
        )
        #expect(balancer.states[0].condition == .absent(.noEndpoints))
        balancer.update(
            [Target(site: site(0), reach: .usable(cost: .zero, endpoints: 1)), backup],
            at: .seconds(1.2)
        )
        #expect(balancer.pick(at: .seconds(1.2))?.site == site(0))
    }

    @Test("a target that only terminates is used when nothing else is")
    func lastResort() throws {
        var balancer = ServiceBalancer(service: service())
        let ending = Target(site: site(0), reach: .lastResort(cost: .zero, endpoints: 1))
        balancer.update(
            [ending, Target(site: site(1), reach: .usable(cost: PathCost(9999), endpoints: 1))],
            at: .seconds(1)
        )
        #expect(balancer.pick(at: .seconds(1))?.site == site(1))
        balancer.update([ending], at: .seconds(1))
        #expect(balancer.pick(at: .seconds(1))?.site == site(0))
    }
}
