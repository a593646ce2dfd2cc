import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// Lanes for bulk beside those of a Link, in virtual time.
@Suite("Lanes for bulk")
struct BulkLaneTests {
    private let near = site(1)
    private let far = site(2)

    /// Node 0 dials node 1.
    private func sites(seed: UInt64 = 7, loops: Int = 1) throws -> SimulatedSites {
        var sites = SimulatedSites(seed: seed)
        _ = sites.gateway(proxy(near, 1), loops: loops)
        let server = sites.gateway(proxy(far, 1), loops: loops)
        sites.configure(server, 1, .of(far, allow: [near]))
        let link = try sites.link("far", to: server, cost: 5)
        sites.configure(0, 1, .of(near, links: [link]))
        sites.run(milliseconds: 2_000)
        return sites
    }

    /// Open lanes for bulk between the two.
    private func bulk(_ sites: SimulatedSites) -> [Int] {
        sites.lanes(0, 1).filter { sites.lanes[$0].order.hello.lane != nil }
    }

    private func ordinary(_ sites: SimulatedSites) -> [Int] {
        sites.lanes(0, 1).filter { sites.lanes[$0].order.hello.lane == nil }
    }

    @Test(
        "the side that dials dials one when its own loop, or the other side, asks for it",
        arguments: [0, 1]
    )
    func dialed(_ node: Int) throws {
        var sites = try sites(loops: 2)
        for (count, lane) in ordinary(sites).enumerated() {
            sites.feed(.bulkLaneWanted(sites.lanes[lane].ends[node].id), to: node)
            sites.run(milliseconds: 200)
            let new = try #require(bulk(sites).last)
            #expect(bulk(sites).count == count + 1)
            // From the same loop to the same loop.
            #expect(sites.lanes[new].order.loop == sites.lanes[lane].order.loop)
            #expect(loop(new, sites) == loop(lane, sites))
        }
        #expect(
            sites.nodes[0].snapshot?.links.first?.lanesDialed == 2,
            "they are none of the Link's"
        )
        sites.expectSameWhenReplayed()
    }

    /// The loop of a lane at the side that accepted it.
    private func loop(_ lane: Int, _ sites: SimulatedSites) -> Int? {
        let id = sites.lanes[lane].ends[1].id
        for step in sites.nodes[1].record {
            for case .admit(id, _, let loop, _) in step.outputs { return loop }
        }
        return nil
    }

    @Test("however often they are asked for, there are sixteen", arguments: [0, 1])
    func bounded(_ node: Int) throws {
        var sites = try sites()
        let lane = try #require(ordinary(sites).first)
        for _ in 0..<100 {
            sites.feed(.bulkLaneWanted(sites.lanes[lane].ends[node].id), to: node)
            sites.run(milliseconds: 20)
        }
        #expect(bulk(sites).count == BulkLanes.limit)
    }

    @Test("one that ends is no loss of the Link, and is dialed again when it is asked for")
    func ended() throws {
        var sites = try sites()
        let lane = try #require(ordinary(sites).first)
        sites.feed(.bulkLaneWanted(sites.lanes[lane].ends[0].id), to: 0)
        sites.run(milliseconds: 200)
        sites.cut(try #require(bulk(sites).first))
        sites.run(milliseconds: 12_000)
        #expect(bulk(sites).isEmpty)
        #expect(sites.nodes[0].snapshot?.links.first?.losses == 0)
        #expect(sites.nodes[0].snapshot?.links.first?.reason == .connected)
        sites.feed(.bulkLaneWanted(sites.lanes[lane].ends[0].id), to: 0)
        sites.run(milliseconds: 200)
        #expect(bulk(sites).count == 1)
        sites.expectSameWhenReplayed()
    }

    @Test("they go with their Link, and give way to new credentials as the others do")
    func leave() throws {
        var sites = try sites()
        let lane = try #require(ordinary(sites).first)
        sites.feed(.bulkLaneWanted(sites.lanes[lane].ends[0].id), to: 0)
        sites.run(milliseconds: 200)
        let before = bulk(sites)
        #expect(before.count == 1)
        sites.feed(
            .credentials(certificateChain: [[9]], agreementKey: [UInt8](repeating: 1, count: 32)),
            to: 0
        )
        sites.run(milliseconds: 40_000)
        #expect(bulk(sites).isEmpty)
        #expect(ordinary(sites).count == 1 && !ordinary(sites).contains(lane))
        let next = try #require(ordinary(sites).first)
        sites.feed(.bulkLaneWanted(sites.lanes[next].ends[0].id), to: 0)
        sites.run(milliseconds: 200)
        #expect(bulk(sites).count == 1)
        sites.configure(0, 2, .of(near))
        sites.run(milliseconds: 200)
        #expect(sites.lanes(0, 1).isEmpty)
    }

    @Test("the first ordinary lane carries the control frames, whatever there is for bulk")
    func control() throws {
        var table = AdjacencyTable()
        let hello = Hello(
            proxy: proxy(far, 1),
            isSidecar: false,
            loops: 1,
            name: "",
            link: nil,
            heartbeat: .milliseconds(250),
            misses: 3
        )
        for (number, isBulk) in [(1, true), (3, false), (5, true), (7, false)] as [(UInt64, Bool)] {
            let entry = AdjacencyTable.LaneEntry(
                id: LaneID(number: number),
                loop: 0,
                edge: nil,
                isDialed: true,
                remote: Endpoint(address: .v4(1), port: 1),
                isBulk: isBulk
            )
            table.add(entry, hello, kind: .remote)
        }
        #expect(table[hello.proxy]?.lanes.map(\.id.number) == [3, 7, 1, 5])
    }

    @Test("one for bulk is let in beside a lane of the same Link and neighbor only")
    func admission() throws {
        let own = proxy(site(1), 5)
        var gateway = GatewayControl(ControlOptions(own: own))
        let document = ConfigurationDocument(
            generation: 1,
            snapshotKey: "",
            configuration: .of(own.site, allow: [site(2), site(3)])
        )
        let now = Instant(nanoseconds: 1)
        _ = gateway.handle(.configuration(document, localAddresses: []), at: now, wall: .epoch)
        var number: UInt64 = 0
        /// The number of the lane, or why it was refused.
        func enter(
            _ neighbor: ProxyID,
            beside: UInt64?,
            link: String = "a"
        ) -> Result<UInt64, Refusal> {
            number += 2
            let candidate = LaneCandidate(
                id: LaneID(number: number),
                loop: 0,
                purpose: .link,
                remote: Endpoint(address: .v4(1), port: 1),
                site: neighbor.site,
                role: .gateway,
                hello: Hello(
                    proxy: neighbor,
                    isSidecar: false,
                    loops: 1,
                    name: "",
                    link: LinkName(link),
                    heartbeat: .milliseconds(250),
                    misses: 3,
                    lane: beside
                )
            )
            for output in gateway.handle(.candidate(candidate), at: now, wall: .epoch) {
                if case .refuse(_, _, let closing) = output {
                    return .failure(Refusal(closing.reason))
                }
            }
            _ = gateway.handle(.welcomed(candidate.id), at: now, wall: .epoch)
            return .success(number)
        }
        let (left, right) = (proxy(site(2), 1), proxy(site(3), 1))
        #expect(enter(left, beside: 2) == .failure(Refusal(.superfluous)), "there is none yet")
        let first = try enter(left, beside: nil).get()
        let other = try enter(right, beside: nil).get()
        let bulk = try enter(left, beside: first).get()
        for (beside, link) in [(other, "a"), (bulk, "a"), (first, "b"), (99, "a")] {
            #expect(
                enter(left, beside: beside, link: link) == .failure(Refusal(.superfluous)),
                "beside \(beside) of \(link)"
            )
        }
        for _ in 1..<BulkLanes.limit { _ = try enter(left, beside: first).get() }
        #expect(
            enter(left, beside: first) == .failure(Refusal(.superfluous)),
            "as many as there may be"
        )
        // They take no other Link's place.
        _ = try enter(left, beside: nil, link: "b").get()
    }

    private struct Refusal: Error, Equatable {
        let reason: CloseCode
        init(_ reason: CloseCode) { self.reason = reason }
    }
}
