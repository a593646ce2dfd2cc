import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import Proxy

@Suite("Links between gateways", .timeLimit(.minutes(2)))
struct LinkTests {
    /// East serves and accepts; west dials it.
    private struct Pair {
        let east: TestSite
        let west: TestSite
        let eastGateway: Gateway
        let westGateway: Gateway

        init(cost: Int32 = 7, isAllowed: Bool = true, loops: Int = 1) async throws {
            west = try TestSite("west", acceptsLinks: false)
            east = try TestSite("east", allow: isAllowed ? [west.id] : [])
            eastGateway = try east.gateway(loops: loops)
            westGateway = try west.gateway(loops: loops)
            eastGateway.proxy.setEndpoints(service: "backend-pods", pods(2))
            let service = try ServiceConfiguration.backend()
            eastGateway.proxy.apply(east.edit { $0.services = [service] })
            let link = try LinkConfiguration(
                patient: "east",
                to: east.id,
                at: eastGateway.linkEndpoint,
                cost: cost
            )
            let consumer = try ServiceConfiguration.backend(provides: false)
            westGateway.proxy.apply(
                west.edit {
                    $0.links = [link]
                    $0.services = [consumer]
                }
            )
        }

        func stop() async {
            await eastGateway.proxy.stop()
            await westGateway.proxy.stop()
        }
    }

    @Test(
        "a Link connects, and the dialing site sees the other's servers at its cost",
        arguments: [1, 2]
    )
    func connects(loops: Int) async throws {
        let pair = try await Pair(loops: loops)
        let snapshot = await pair.westGateway.proxy.wait("east is usable") {
            $0.target(pair.east)?.state == .usable
        }
        let target = try #require(snapshot.target(pair.east))
        #expect(target.pathCost == PathCost(7))
        #expect(target.endpoints == 2)
        #expect(target.via == "link/east")
        #expect(target.site.name == "east")
        let link = try #require(snapshot.links.first)
        #expect(link.reason == .connected)
        #expect(link.remote == SiteName(id: pair.east.id, name: "east"))
        #expect(snapshot.appliedGeneration == 1)
        #expect(snapshot.appliedCount == 1)
        await pair.westGateway.proxy.wait("a round trip") {
            $0.links.first?.roundTripMicroseconds != nil
        }
        // Each side knows the lanes, and what they carried.
        let dialed = LinkMeter.Link(remote: pair.east.id, name: LinkName("east"))
        let accepted = LinkMeter.Link(remote: pair.west.id, name: nil)
        for (gateway, known) in [(pair.westGateway, dialed), (pair.eastGateway, accepted)] {
            let meters = await gateway.proxy.links { $0.first?.lanes == loops }
            #expect(meters.map(\.link) == [known])
            #expect(meters.first?.lanes == loops)
            #expect(meters.first?.sentBytes ?? 0 > 0 && meters.first?.receivedBytes ?? 0 > 0)
            #expect(gateway.proxy.meters.loops.count == loops)
        }
        await pair.eastGateway.proxy.stop()
        let left = await pair.westGateway.proxy.links { $0.first?.lanes == 0 }
        #expect(left.first?.lanes == 0)
        await pair.stop()
    }

    @Test("a changed cost is routed with on both sides, and no lane is touched")
    func changedCost() async throws {
        let pair = try await Pair()
        pair.westGateway.proxy.setEndpoints(service: "backend-pods", pods(1))
        let both = try ServiceConfiguration.backend()
        pair.westGateway.proxy.apply(pair.west.edit { $0.services = [both] })
        let (east, west) = (pair.eastGateway.proxy, pair.westGateway.proxy)
        await east.wait("west is usable") { $0.target(pair.west)?.pathCost == PathCost(7) }
        // One round may be late on a busy machine; what waits for a retransmission is late in all.
        var fastest = Duration.seconds(60)
        for value in [20, 3, 900] as [Int32] {
            let cost = try #require(LinkCost(value))
            let start = ContinuousClock().now
            west.apply(pair.west.edit { $0.links[0].cost = cost })
            await west.wait("west's cost") { $0.target(pair.east)?.pathCost == PathCost(cost) }
            await east.wait("east's cost") { $0.target(pair.west)?.pathCost == PathCost(cost) }
            fastest = min(fastest, ContinuousClock().now - start)
        }
        #expect(fastest < .seconds(1))
        #expect(west.snapshot.links.first?.losses == 0)
        #expect(east.snapshot.target(pair.west)?.via == "from/west")
        await pair.stop()
    }

    @Test("a site that is not allowed is told the line to add, and is let in once it is there")
    func notAllowed() async throws {
        let pair = try await Pair(isAllowed: false)
        let (east, west) = (pair.eastGateway.proxy, pair.westGateway.proxy)
        let refused = await west.wait("refused") { $0.links.first?.reason == .notAllowed }
        let line = "- {siteID: \(pair.west.id), name: west}"
        #expect(refused.links.first?.message.contains(line) == true)
        let seen = await east.wait("seen") { !$0.refused.isEmpty }
        #expect(seen.refused.first?.site == SiteName(id: pair.west.id, name: "west"))
        #expect(seen.refused.first?.reason == .notAllowed)
        let west1 = SiteName(id: pair.west.id)
        east.apply(pair.east.edit { $0.allow = [west1] })
        await west.wait("connected") { $0.target(pair.east)?.state == .usable }
        // And out again, at once.
        east.apply(pair.east.edit { $0.allow = [] })
        await west.wait("disallowed") {
            $0.links.first?.reason == .notAllowed && $0.target(pair.east)?.state == .unreachable
        }
        #expect(west.snapshot.links.first?.losses == 1)
        await pair.stop()
    }

    @Test("a wrong SiteID, oneself, nobody there: each has its reason")
    func reasons() async throws {
        let pair = try await Pair()
        let other = try TestSite("other")
        let (east, west) = (pair.eastGateway, pair.westGateway.proxy)
        let nobody = HostAndPort(host: "\(Loopback.address())", port: 5671)
        let links = [
            try LinkConfiguration(patient: "mismatch", to: other.id, at: east.linkEndpoint),
            try LinkConfiguration(patient: "myself", to: pair.west.id, at: east.linkEndpoint),
            try LinkConfiguration(patient: "nobody", to: other.id, at: nobody),
        ]
        // East listens from now on: a refused connection would be told as a reason.
        await west.wait("connected") { $0.links.first?.reason == .connected }
        west.apply(pair.west.edit { $0.links += links })
        let snapshot = await west.wait("all reasons") { snapshot in
            snapshot.links.count == 4 && !snapshot.links.contains { $0.reason == .connecting }
                && snapshot.links.first?.reason == .connected
        }
        let reasons = snapshot.links.map(\.reason)
        #expect(reasons == [.connected, .siteIDMismatch, .toSelf, .unreachable])
        let mismatch = try #require(snapshot.links.first { $0.name.text == "mismatch" }?.message)
        #expect(mismatch.contains(pair.east.id.text) && mismatch.contains(other.id.text))
        let message = try #require(snapshot.links.first { $0.name.text == "nobody" }?.message)
        #expect(message.contains("\(nobody)"))
        await pair.stop()
    }

    @Test("two sites with one identity do not link")
    func duplicateIdentity() async throws {
        let pair = try await Pair()
        // A second gateway of east's identity that pins west, and finds east at that address.
        let twin = try pair.east.gateway()
        let link = try LinkConfiguration(
            patient: "twin",
            to: pair.west.id,
            at: pair.eastGateway.linkEndpoint
        )
        twin.proxy.apply(pair.east.edit { $0.links = [link] })
        await twin.proxy.wait("refused") {
            [.siteIDMismatch, .duplicateIdentity].contains($0.links.first?.reason)
        }
        await twin.proxy.stop()
        await pair.stop()
    }

    @Test("a chain of three sites: costs add up, and a lost site is told apart")
    func chain() async throws {
        let far = try TestSite("far", acceptsLinks: false)
        let west = try TestSite("west", acceptsLinks: false)
        let middle = try TestSite("middle", allow: [far.id, west.id])
        let gateways = try (far: far.gateway(), west: west.gateway(), middle: middle.gateway())
        gateways.middle.proxy.apply(middle.edit { _ in })
        let service = try ServiceConfiguration.backend()
        gateways.far.proxy.setEndpoints(service: "backend-pods", pods(1))
        let farLink = try LinkConfiguration(
            patient: "middle",
            to: middle.id,
            at: gateways.middle.linkEndpoint,
            cost: 5
        )
        gateways.far.proxy.apply(
            far.edit {
                $0.links = [farLink]
                $0.services = [service]
            }
        )
        let consumer = try ServiceConfiguration.backend(provides: false)
        let westLink = try LinkConfiguration(
            patient: "middle",
            to: middle.id,
            at: gateways.middle.linkEndpoint,
            cost: 3
        )
        gateways.west.proxy.apply(
            west.edit {
                $0.links = [westLink]
                $0.services = [consumer]
            }
        )
        let up = await gateways.west.proxy.wait("far is usable") {
            $0.target(far)?.state == .usable
        }
        #expect(up.target(far)?.pathCost == PathCost(8))
        #expect(up.target(far)?.via == "link/middle")
        await gateways.far.proxy.stop()
        let down = await gateways.west.proxy.wait("far is gone") {
            $0.target(far)?.state != .usable
        }
        #expect(down.target(far)?.reason == "SiteLost")
        await gateways.west.proxy.stop()
        await gateways.middle.proxy.stop()
    }
}

extension Proxy {
    /// The meters of its links, once they are as wished or after a while.
    fileprivate func links(once isDone: ([LinkMeter]) -> Bool) async -> [LinkMeter] {
        for _ in 0..<500 where !isDone(meters.links) {
            await refresh()
            try? await Task.sleep(for: .milliseconds(20))
        }
        return meters.links
    }
}
