import Balancing
import NetworkModel
import Testing

@Suite("Ways that lead nowhere")
struct RouteEjectionTests {
    private func route(_ number: Int) -> [ProxyID] {
        let site = SiteID(publicKeyDigest: Array(repeating: UInt8(number), count: 32))
        return [ProxyID(site: site, instance: 1)]
    }

    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test("routes of the lowest cost take turns, then come detours, each once")
    func order() {
        var ejections = RouteEjections()
        let ways = Ways(routes: [route(1), route(2)], detours: [route(3)])
        var tried: [[ProxyID]] = []
        while let pick = ejections.pick(ways, turn: 1, excluding: tried, at: at(0)) {
            tried.append(pick.route)
        }
        #expect(tried == [route(2), route(1), route(3)])
        let none = ejections.pick(Ways(), turn: 5, excluding: [], at: at(0))
        #expect(none == nil)
    }

    @Test("streams of a target go round its routes, also while picks alternate between targets")
    func turns() throws {
        var balancer = ServiceBalancer([(1, 1, 1), (2, 1, 1)])
        var ejections = RouteEjections()
        let ways = Ways(routes: [route(1), route(2), route(3)])
        var used: [SiteID: [[ProxyID]: Int]] = [:]
        for _ in 0..<12 {
            let pick = balancer.pick(at: at(0))
            let target = try #require(pick)
            let way = ejections.pick(ways, turn: target.turn, excluding: [], at: at(0))
            let route = try #require(way).route
            used[target.site, default: [:]][route, default: 0] += 1
        }
        #expect(used.count == 2)
        #expect(used.values.allSatisfy { $0.values.sorted() == [2, 2, 2] })
    }

    @Test("D2: a way that failed comes last, is probed by one at a time, and can be good again")
    func ejected() throws {
        var ejections = RouteEjections()
        let ways = Ways(routes: [route(1)], detours: [route(2)])
        func next(_ milliseconds: UInt64) throws -> WayPick {
            let pick = ejections.pick(ways, turn: 0, excluding: [], at: at(milliseconds))
            return try #require(pick)
        }
        ejections.failed(try next(0), reason: .connectTimeout, at: at(0))
        #expect(try next(100).route == route(2))
        // It is still there as a last resort.
        let last = ejections.pick(ways, turn: 0, excluding: [route(2)], at: at(100))
        #expect(last?.route == route(1))
        ejections.abandoned(try #require(last))
        let probe = try next(501)
        #expect(probe.route == route(1))
        #expect(try next(502).route == route(2))
        ejections.failed(probe, reason: .connectTimeout, at: at(600))
        #expect(try next(1_500).route == route(2))
        let second = try next(1_601)
        #expect(second.route == route(1))
        ejections.answered(second, after: .milliseconds(10), at: at(1_602))
        #expect(try next(1_602).route == route(1))
        #expect(ejections.isEmpty)
    }

    @Test("D2: where nothing ever came from, silence is soon believed, if others are left")
    func patience() throws {
        var ejections = RouteEjections()
        let ways = Ways(routes: [route(1)], detours: [route(2)])
        func next(_ milliseconds: UInt64, excluding tried: [[ProxyID]] = []) throws -> WayPick {
            let pick = ejections.pick(ways, turn: 0, excluding: tried, at: at(milliseconds))
            return try #require(pick)
        }
        let first = try next(0)
        #expect(first.route == route(1))
        #expect(first.patience(roundTrip: .milliseconds(1)) == .milliseconds(400))
        #expect(first.patience(roundTrip: nil) == .milliseconds(400))
        #expect(first.patience(roundTrip: .milliseconds(250)) == .seconds(1), "the path is long")
        ejections.failed(first, reason: .connectTimeout, at: at(400))
        let last = try next(400, excluding: [route(1)])
        #expect(last.route == route(2))
        #expect(last.patience(roundTrip: .milliseconds(1)) == nil, "nothing else is left")
        ejections.answered(last, after: .milliseconds(20), at: at(420))
        // Probes of the silent way are as short.
        let probe = try next(1_000)
        #expect(probe.route == route(1))
        #expect(probe.patience(roundTrip: .milliseconds(1)) == .milliseconds(400))
        ejections.failed(probe, reason: .connectTimeout, at: at(1_400))
        let good = try next(1_500)
        #expect(good.route == route(2))
        #expect(good.patience(roundTrip: .milliseconds(1)) == nil, "it has led to answers")
    }

    @Test("D2: a way that led to an answer within a minute is relied upon, until it fails")
    func relied() throws {
        var ejections = RouteEjections()
        let ways = Ways(routes: [route(1)], detours: [route(2)])
        func next(_ milliseconds: UInt64) throws -> WayPick {
            let pick = ejections.pick(ways, turn: 0, excluding: [], at: at(milliseconds))
            return try #require(pick)
        }
        ejections.answered(try next(0), after: .milliseconds(10), at: at(10))
        #expect(try next(60_010).patience(roundTrip: nil) == nil)
        #expect(try next(60_011).patience(roundTrip: nil) == .milliseconds(400))
        ejections.answered(try next(60_011), after: .milliseconds(10), at: at(60_020))
        let failing = try next(60_100)
        #expect(failing.patience(roundTrip: nil) == nil)
        ejections.failed(failing, reason: .connectTimeout, at: at(63_600))
        let probe = try next(64_100)
        #expect(probe.route == route(1))
        #expect(probe.patience(roundTrip: nil) == .milliseconds(400))
    }

    @Test("D2: where servers are slow to accept, no way is given up before they usually answer")
    func slowServers() throws {
        var ejections = RouteEjections()
        let site = route(1)[0].site
        let other = [ProxyID(site: site, instance: 2)]
        let ways = Ways(routes: [route(1), other])
        func next(_ turn: UInt64) throws -> WayPick {
            let pick = ejections.pick(ways, turn: turn, excluding: [], at: at(0))
            return try #require(pick)
        }
        ejections.answered(try next(1), after: .seconds(2), at: at(0))
        #expect(try next(0).patience(roundTrip: .milliseconds(1)) == .seconds(6))
        // Quick ones make up for it in time.
        for _ in 0..<60 { ejections.answered(try next(1), after: .milliseconds(10), at: at(0)) }
        #expect(try next(0).patience(roundTrip: .milliseconds(1)) == .milliseconds(400))
    }
}
