import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import Proxy

/// What is replaced before it is taken away, and what is taken away for good.
@Suite("Replacements", .timeLimit(.minutes(2)))
struct ReplacementTests {
    private let traffic: TestTraffic

    init() throws { traffic = try TestTraffic() }

    /// West has clients; east, at cost 1, has the only server.
    private struct Pair {
        let east: Place
        let west: Place

        init(_ traffic: TestTraffic) async throws {
            let site = try TestSite("west")
            east = try await Place(
                TestSite("east", allow: [site.id]),
                servers: 1,
                traffic: traffic
            )
            west = try await Place(site, servers: 0, traffic: traffic, listens: true)
            _ = west.site.edit { $0.drain.grace = .seconds(20) }
            try west.link(to: east, cost: 1)
            await west.proxy.wait("east is usable") { $0.usable == 1 }
            await west.proxy.wait("west listens") { $0.services.first?.listening == true }
        }

        func stop() async {
            await west.proxy.stop()
            await east.proxy.stop()
        }
    }

    /// Opens connections one after the other while `change` is made and until `isDone`; how many failed.
    private func failures(
        at endpoint: Endpoint,
        while change: () -> Void,
        until isDone: () -> Bool
    ) async -> Int {
        var failed = 0
        let end = ContinuousClock.now + .seconds(10)
        change()
        repeat {
            guard let client = await traffic.connect(to: endpoint) else {
                failed += 1
                continue
            }
            await traffic.close(client)
        } while !isDone() && ContinuousClock.now < end
        #expect(isDone())
        return failed
    }

    @Test("K6: a Link to other endpoints is dialed beside; nobody is refused, nothing is reset")
    func otherEndpoint() async throws {
        let pair = try await Pair(traffic)
        let held = try #require(await traffic.connect(to: pair.west.listen))
        let dialed = pair.west.proxy.snapshot.links.first?.lanesDialed ?? 0
        // The same gateway under another name.
        let other = HostAndPort(host: "::ffff:\(pair.east.gateway.address)", port: 5671)
        let failed = await failures(at: pair.west.listen) {
            pair.west.proxy.apply(pair.west.site.edit { $0.links[0].endpoints = [other] })
        } until: {
            let link = pair.west.proxy.snapshot.links.first
            return link?.lanesDialed ?? 0 > dialed && link?.reason == .connected
        }
        #expect(failed == 0)
        #expect(await traffic.isOpen(held))
        let snapshot = await pair.west.proxy.wait("the old lane still carries") {
            $0.links.first?.active == 1
        }
        #expect(snapshot.links.first?.losses == 0)
        await traffic.close(held)
        await pair.west.proxy.wait("empty") { $0.links.first?.active == 0 }
        #expect(await traffic.connect(to: pair.west.listen) != nil)
        await pair.stop()
        traffic.stop()
    }

    @Test("K6: a Link to a dead address says so at once, and its old lanes end after the grace")
    func deadEndpoint() async throws {
        let pair = try await Pair(traffic)
        let held = try #require(await traffic.connect(to: pair.west.listen))
        let dead = HostAndPort(host: "\(Loopback.address())", port: 5671)
        pair.west.proxy.apply(
            pair.west.site.edit {
                $0.links[0].endpoints = [dead]
                $0.drain.grace = .seconds(2)
            }
        )
        let snapshot = await pair.west.proxy.wait("unreachable") {
            $0.links.first?.reason == .unreachable
        }
        #expect(snapshot.links.first?.message.contains("\(dead)") == true)
        #expect(await traffic.isOpen(held))
        await pair.west.proxy.wait("the old lanes are gone") { $0.usable == 0 }
        // The held connection looks for another way for a while; there is none.
        await pair.west.proxy.wait("it is reset", limit: .seconds(20)) {
            $0.counters.contains { $0.interrupted == 1 }
        }
        #expect(await !traffic.isOpen(held))
        await pair.stop()
        traffic.stop()
    }

    @Test("K3: pins come and go without a lane ending while the site that answers is named")
    func pins() async throws {
        let pair = try await Pair(traffic)
        let held = try #require(await traffic.connect(to: pair.west.listen))
        let (east, other) = (pair.east.site.id, try TestSite("other").id)
        let before = try #require(pair.west.proxy.snapshot.links.first)
        func pin(_ site: SiteID, _ next: SiteID?) -> UInt64 {
            let document = pair.west.site.edit {
                $0.links[0].remoteSite = site
                $0.links[0].nextRemoteSite = next
            }
            pair.west.proxy.apply(document)
            return document.generation
        }
        for (site, next) in [(east, other), (other, east)] {
            var generation: UInt64 = 0
            let failed = await failures(at: pair.west.listen) {
                generation = pin(site, next)
            } until: {
                pair.west.proxy.snapshot.appliedGeneration == generation
            }
            #expect(failed == 0)
        }
        let link = try #require(pair.west.proxy.snapshot.links.first)
        #expect(link.remote?.id == east)
        #expect(link.lanesDialed == before.lanesDialed)
        #expect(link.losses == before.losses)
        #expect(await traffic.isOpen(held))
        // The pin by which the lane came is taken out.
        _ = pin(other, nil)
        let snapshot = await pair.west.proxy.wait("east is not the one any more") {
            $0.links.first?.reason == .siteIDMismatch
        }
        #expect(snapshot.links.first?.message.contains("\(other)") == true)
        #expect(snapshot.usable == 0)
        await pair.stop()
        traffic.stop()
    }

    @Test("P7: a renamed Link resets nothing and refuses nobody")
    func renamedLink() async throws {
        let pair = try await Pair(traffic)
        let held = try #require(await traffic.connect(to: pair.west.listen))
        let name = try #require(LinkName("renamed"))
        let old = pair.west.proxy.snapshot.links[0]
        let failed = await failures(at: pair.west.listen) {
            pair.west.proxy.apply(
                pair.west.site.edit {
                    let link = $0.links[0]
                    $0.links[0] = LinkConfiguration(
                        name: name,
                        endpoints: link.endpoints,
                        remoteSite: link.remoteSite,
                        cost: link.cost,
                        health: link.health
                    )
                }
            )
        } until: {
            pair.west.proxy.snapshot.links.first?.reason == .connected
                && pair.west.proxy.snapshot.links.first?.name == name
        }
        #expect(old.name != name)
        #expect(failed == 0)
        #expect(await traffic.isOpen(held))
        await pair.stop()
        traffic.stop()
    }

    @Test("P7: a renamed port refuses nobody, resets nothing", arguments: [1, 2])
    func renamedPort(loops: Int) async throws {
        let place = try await Place(
            TestSite("plain"),
            servers: 1,
            traffic: traffic,
            listens: true,
            loops: loops
        )
        await place.waitForTargets(1)
        let held = try #require(await traffic.connect(to: place.listen))
        let other = try #require(PortName("other"))
        let failed = await failures(at: place.listen) {
            place.proxy.apply(place.site.edit { $0.services[0].ports[0].name = other })
        } until: {
            let services = place.proxy.snapshot.services
            return services.first?.service.port == other && services.first?.listening == true
        }
        #expect(failed == 0)
        #expect(await traffic.isOpen(held))
        await place.proxy.stop()
        traffic.stop()
    }

    @Test(
        "B6: a port that is taken out has its connections reset, at the using and the serving site",
        arguments: [true, false]
    )
    func removed(atUser: Bool) async throws {
        let pair = try await Pair(traffic)
        let held = try #require(await traffic.connect(to: pair.west.listen))
        let place = atUser ? pair.west : pair.east
        place.proxy.apply(place.site.edit { $0.services = [] })
        let end = ContinuousClock.now + .seconds(10)
        while await traffic.isOpen(held), ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await !traffic.isOpen(held))
        while await traffic.open(at: "east") > 0, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await traffic.open(at: "east") == 0)
        await pair.stop()
        traffic.stop()
    }
}
