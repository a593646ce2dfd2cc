import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// One Link's dialer, by hand.
@Suite("Dialing a Link")
struct LinkDialerTests {
    private let own = proxy(site(1), 1)
    private let neighbor = proxy(site(2), 7)

    private struct Bench {
        var dialer: LinkDialer
        var desk: DialDesk
        var now = Instant(nanoseconds: 1_000_000_000)

        mutating func turn(
            _ body: (inout LinkDialer, inout DialDesk, inout Turn) -> Void
        ) -> [ControlOutput] {
            var turn = Turn(now: now, wall: Timestamp(seconds: 1_700_000_000))
            body(&dialer, &desk, &turn)
            return turn.outputs
        }

        mutating func answer(_ outputs: [ControlOutput], _ answer: Answer) -> [ControlOutput] {
            outputs.flatMap { output -> [ControlOutput] in
                guard case .resolve(.link(_, let attempt, let host)) = output else { return [] }
                return turn { dialer, desk, turn in
                    dialer.resolved(attempt, host, answer, &desk, &turn)
                }
            }
        }
    }

    private func link(_ hosts: [String]) throws -> LinkConfiguration {
        LinkConfiguration(
            name: try #require(LinkName("a")),
            endpoints: hosts.map { HostAndPort(host: $0, port: 5671) },
            remoteSite: neighbor.site,
            cost: try #require(LinkCost(1)),
            health: .standard
        )
    }

    private func bench(_ hosts: [String], loops: Int = 1) throws -> Bench {
        Bench(
            dialer: LinkDialer(try link(hosts)),
            desk: DialDesk(own: own, role: .gateway, loops: loops, seed: 4)
        )
    }

    private func hello(loops: Int = 1) -> Hello {
        Hello(
            proxy: neighbor,
            isSidecar: false,
            loops: loops,
            name: "there",
            link: nil,
            heartbeat: .milliseconds(250),
            misses: 3
        )
    }

    private func orders(_ outputs: [ControlOutput]) -> [DialOrder] {
        outputs.compactMap { if case .dial(let order) = $0 { order } else { nil } }
    }

    private func hosts(_ outputs: [ControlOutput]) -> [String] {
        outputs.compactMap { if case .resolve(let question) = $0 { question.host } else { nil } }
    }

    @Test(
        "endpoints are dialed in turn, addresses of a name round by round, with longer and longer waits"
    )
    func turns() throws {
        var bench = try bench(["a", "b"])
        var outputs = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        var dialed: [IPAddress] = []
        var waits: [Duration] = []
        for _ in 0..<6 {
            let host = try #require(hosts(outputs).first)
            let addresses: [IPAddress] = host == "a" ? [.v4(1), .v4(2)] : [.v4(9)]
            let order = try #require(orders(bench.answer(outputs, .addresses(addresses))).first)
            dialed.append(order.endpoint.address)
            #expect(order.expectedSites == [neighbor.site])
            _ = bench.turn { dialer, desk, turn in
                dialer.laneEnded(
                    order.id,
                    .failed("refused"),
                    wasUp: false,
                    LaneFigures(),
                    &desk,
                    &turn
                )
            }
            let next = try #require(bench.dialer.nextDeadline)
            waits.append(next - bench.now)
            bench.now = next
            outputs = bench.turn { dialer, _, turn in dialer.handleDeadline(&turn) }
        }
        #expect(dialed == [.v4(1), .v4(9), .v4(2), .v4(9), .v4(1), .v4(9)])
        for (index, wait) in waits.enumerated() {
            let full = Duration.milliseconds(100 << index)
            #expect((full / 2...full).contains(wait))
        }
        #expect(bench.dialer.failure?.reason == .unreachable)
        #expect(bench.dialer.failure?.message == "a:5671: refused; b:5671: refused")
    }

    @Test("an answer that comes for an attempt that is over changes nothing")
    func lateAnswer() throws {
        var bench = try bench(["a"])
        let first = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        let changed = try link(["b"])
        let second = bench.turn { dialer, _, turn in
            _ = dialer.update(changed, site: { _ in nil }, &turn)
        }
        #expect(hosts(second) == ["b"])
        #expect(bench.answer(first, .addresses([.v4(1)])).isEmpty)
        #expect(orders(bench.answer(second, .addresses([.v4(2)]))).count == 1)
    }

    @Test("another grace is told to the neighbor on the lanes that are up; the same one is not")
    func regraced() throws {
        var bench = try bench(["a"])
        let asked = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        let order = try #require(orders(bench.answer(asked, .addresses([.v4(1)]))).first)
        #expect(order.hello.resumeGrace == nil)
        let hello = hello()
        _ = bench.turn { dialer, _, turn in
            _ = dialer.laneUp(order.id, hello, wanted: 1, &turn)
        }
        for (grace, retimed) in [(30, [order.id]), (30, []), (60, [order.id])] {
            let old = try link(["a"])
            let changed = LinkConfiguration(
                name: old.name,
                endpoints: old.endpoints,
                remoteSite: old.remoteSite,
                cost: old.cost,
                health: old.health,
                resumeGrace: .seconds(grace)
            )
            var what = LinkDialer.Changed()
            _ = bench.turn { dialer, _, turn in
                what = dialer.update(changed, site: { _ in nil }, &turn)
            }
            #expect(what.retimed == retimed && what.closing.isEmpty && what.retiring.isEmpty)
            #expect(bench.desk.hello(for: changed).resumeGrace == .seconds(grace))
        }
    }

    @Test(
        "other endpoints are dialed beside the lanes to those that were, which others then replace"
    )
    func readdressed() throws {
        var bench = try bench(["a"], loops: 2)
        let asked = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        let first = try #require(orders(bench.answer(asked, .addresses([.v4(1)]))).first)
        let hello = hello()
        var isWelcome = false
        let more = bench.turn { dialer, _, turn in
            isWelcome = dialer.laneUp(first.id, hello, wanted: 2, &turn)
        }
        #expect(isWelcome && bench.dialer.isConnected)
        let second = try #require(orders(bench.answer(more, .addresses([.v4(1)]))).first)
        #expect(second.loop == 1)
        let changed = try link(["b"])
        var what = LinkDialer.Changed()
        let asks = bench.turn { dialer, _, turn in
            what = dialer.update(changed, site: { _ in nil }, &turn)
        }
        #expect(what.retiring == [first.id])
        #expect(what.closing == [second.id])
        #expect(hosts(asks) == ["b"], "the first lane speaks for all")
        #expect(bench.dialer.isLeavingEndpoints)
        #expect(bench.dialer.lanes == [first.id])
    }

    @Test(
        "a lane to a site that is not pinned any more is closed, one that is pinned otherwise stays"
    )
    func unpinned() throws {
        var bench = try bench(["a"])
        let asked = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        let order = try #require(orders(bench.answer(asked, .addresses([.v4(1)]))).first)
        let (hello, neighbor) = (hello(), neighbor)
        _ = bench.turn { dialer, _, turn in
            _ = dialer.laneUp(order.id, hello, wanted: 1, &turn)
        }
        var next = try link(["a"])
        (next.remoteSite, next.nextRemoteSite) = (site(3), neighbor.site)
        var what = LinkDialer.Changed()
        _ = bench.turn { dialer, _, turn in
            what = dialer.update(next, site: { _ in neighbor.site }, &turn)
        }
        #expect(what == LinkDialer.Changed())
        next.nextRemoteSite = nil
        _ = bench.turn { dialer, _, turn in
            what = dialer.update(next, site: { _ in neighbor.site }, &turn)
        }
        #expect(what.closing == [order.id])
    }

    @Test("a Link to the own site is not dialed, and says why")
    func toSelf() throws {
        var configuration = try link(["a"])
        configuration.remoteSite = own.site
        var bench = Bench(
            dialer: LinkDialer(configuration),
            desk: DialDesk(own: own, role: .gateway, loops: 1, seed: 4)
        )
        let outputs = bench.turn { dialer, desk, turn in dialer.start(desk, &turn) }
        #expect(outputs.isEmpty && bench.dialer.nextDeadline == nil)
        #expect(bench.dialer.failure?.reason == .toSelf)
    }
}
