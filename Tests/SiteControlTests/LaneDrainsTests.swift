import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

@Suite("Lanes that others take the place of")
struct LaneDrainsTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private let neighbor = proxy(site(2), 1)

    private func table(_ lanes: [UInt64]) -> AdjacencyTable {
        var table = AdjacencyTable()
        let hello = Hello(
            proxy: neighbor,
            isSidecar: false,
            loops: 1,
            name: "",
            link: nil,
            heartbeat: .milliseconds(250),
            misses: 3
        )
        for number in lanes {
            let entry = AdjacencyTable.LaneEntry(
                id: LaneID(number: number),
                loop: Int(number),
                edge: nil,
                isDialed: true,
                remote: Endpoint(address: .v4(1), port: 1)
            )
            table.add(entry, hello, kind: .remote)
        }
        return table
    }

    private func link() throws -> LinkConfiguration {
        try LinkConfiguration("a", to: neighbor.site, at: HostAndPort(host: "a", port: 1), cost: 7)
    }

    @Test("a lane is retired once there is another, and closed when it was seen empty twice")
    func replaced() throws {
        var (drains, turn) = (LaneDrains(), Turn(now: start, wall: .epoch))
        drains.add([LaneID(number: 1)], of: try link(), grace: .seconds(9), &turn)
        #expect(drains.costs == [try #require(LinkName("a")): try #require(LinkCost(7))])
        drains.lanesChanged(table([1]), &turn)
        #expect(turn.outputs.isEmpty, "there is no other")
        let early1 = drains.due(active: { _ in 0 }, at: start + .milliseconds(250))
        #expect(early1.isEmpty)
        drains.lanesChanged(table([1, 3]), &turn)
        #expect(turn.outputs == [.retire(LaneID(number: 1), on: 1)])
        drains.lanesChanged(table([1, 3]), &turn)
        #expect(turn.outputs.count == 1, "once")
        let early2 = drains.due(active: { _ in 0 }, at: start + .milliseconds(500))
        #expect(early2.isEmpty)
        let early3 = drains.due(active: { _ in 2 }, at: start + .milliseconds(750))
        #expect(early3.isEmpty)
        let early4 = drains.due(active: { _ in 0 }, at: start + .milliseconds(1_000))
        #expect(early4.isEmpty)
        let due = drains.due(active: { _ in 0 }, at: start + .milliseconds(1_250))
        #expect(due == [LaneID(number: 1)])
        let wasLeaving = drains.ended(LaneID(number: 1))
        #expect(wasLeaving)
        #expect(drains.nextDeadline == nil && drains.costs.isEmpty)
    }

    @Test("after the grace it is closed whatever it carries")
    func grace() throws {
        var (drains, turn) = (LaneDrains(), Turn(now: start, wall: .epoch))
        drains.add([LaneID(number: 1)], of: try link(), grace: .milliseconds(600), &turn)
        var now = start
        var closed: [Duration] = []
        while closed.isEmpty, let next = drains.nextDeadline {
            now = next
            if !drains.due(active: { _ in 5 }, at: now).isEmpty { closed.append(now - start) }
        }
        #expect(closed == [.milliseconds(750)])
    }
}
