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
        ejections.answered(second)
        #expect(try next(1_602).route == route(1))
        #expect(ejections.isEmpty)
    }
}
