import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// Two sites with a Link between them, in virtual time.
@Suite("Two sites in virtual time")
struct TwoSitesTests {
    private let near = site(1)
    private let far = site(2)
    private let backend = port("backend/http")

    /// A consumer at node 0, which dials; a provider at node 1.
    private func sites(seed: UInt64 = 7, loops: Int = 1) throws -> SimulatedSites {
        var sites = SimulatedSites(seed: seed)
        let client = sites.gateway(proxy(near, 1), loops: loops)
        let server = sites.gateway(proxy(far, 1), loops: loops)
        let offered = try ServiceConfiguration.named("backend")
        let wanted = try ServiceConfiguration.named("backend", provides: false, listens: 8080)
        sites.configure(server, 1, .of(far, allow: [near], services: [offered]))
        sites.feed(.endpoints("backend-pods", [pod(1), pod(2)]), to: server)
        let link = try sites.link("far", to: server, cost: 5)
        sites.configure(client, 1, .of(near, links: [link], services: [wanted]))
        return sites
    }

    @Test(
        "a service of another site is listened for while it can be reached, and a failover is told"
    )
    func failover() throws {
        var sites = try sites()
        sites.run(milliseconds: 2_000)
        #expect(sites.targets(backend, at: 0) == [far: .usable])
        #expect(sites.nodes[0].clients.map(\.place.port) == [8080])
        #expect(sites.nodes[0].snapshot?.links.first?.reason == .connected)
        let connected = sites.connect(backend, at: 0)
        #expect(connected == far)
        sites.feed(.endpoints("backend-pods", []), to: 1)
        sites.run(milliseconds: 1_000)
        #expect(sites.targets(backend, at: 0) == [far: .unreachable])
        #expect(sites.nodes[0].clients.isEmpty)
        sites.feed(.endpoints("backend-pods", [pod(3)]), to: 1)
        sites.run(milliseconds: 1_000)
        #expect(sites.targets(backend, at: 0) == [far: .usable])
        #expect(sites.nodes[0].clients.count == 1)
        sites.expectSameWhenReplayed()
    }

    @Test("a gateway's key is handed out when it comes, and taken back when it goes")
    func keys() throws {
        var sites = try sites()
        let server = proxy(far, 1)
        func agreed() -> [[UInt8]?] {
            sites.nodes[0].record.flatMap(\.outputs).compactMap { output -> [UInt8]?? in
                guard case .agree(let keys) = output else { return nil }
                #expect(Array(keys.keys) == [server])
                return keys[server]
            }
        }
        sites.run(milliseconds: 2_000)
        #expect(agreed().count == 1)
        #expect(agreed().first??.count == 32)
        let link = try sites.link("far", to: 1, cost: 9)
        let wanted = try ServiceConfiguration.named("backend", provides: false, listens: 8080)
        sites.configure(0, 2, .of(near, links: [link], services: [wanted]))
        sites.run(milliseconds: 2_000)
        #expect(agreed().count == 1)
        sites.kill(1)
        sites.run(milliseconds: 5_000)
        #expect(agreed().count == 2)
        #expect(agreed().last == .some(nil))
    }

    @Test("a policy steers gateways and sidecars, is no failover, and closes what has no target")
    func policy() throws {
        var sites = SimulatedSites(seed: 9)
        let here = sites.gateway(proxy(near, 1), mesh: "gateways")
        let there = sites.gateway(proxy(far, 1))
        let sidecar = sites.sidecar(proxy(near, 8), of: "gateways", [backend])
        let offered = try ServiceConfiguration.named("backend")
        sites.configure(there, 1, .of(far, allow: [near], services: [offered]))
        sites.feed(.endpoints("backend-pods", [pod(1)]), to: there)
        let link = try sites.link("far", to: there, cost: 5)
        var both = try ServiceConfiguration.named("backend", listens: 8080)
        var generation: UInt64 = 0
        func apply(_ policy: BalancingPolicy?) {
            both.balancing = policy
            generation += 1
            sites.configure(here, generation, .of(near, links: [link], services: [both]))
            sites.run(milliseconds: 1_000)
        }
        apply(nil)
        sites.feed(.endpoints("backend-pods", [pod(11)]), to: here)
        sites.run(milliseconds: 5_000)
        for node in [here, sidecar] {
            let site = sites.connect(backend, at: node)
            #expect(site == near)
        }
        apply(BalancingPolicy(tiers: [[far]]))
        for node in [here, sidecar] {
            let site = sites.connect(backend, at: node)
            #expect(site == far)
        }
        #expect(sites.nodes[here].snapshot?.services.first?.targets.map(\.tier) == [nil, 1])
        apply(BalancingPolicy(sites: [near]))
        for node in [here, sidecar] {
            let site = sites.connect(backend, at: node)
            #expect(site == near)
        }
        #expect(sites.targets(backend, at: here) == [near: .usable, far: .excluded])
        let records = sites.nodes[here].snapshot?.failovers ?? []
        #expect(records.isEmpty, "what somebody asks for is no failure")
        apply(BalancingPolicy(minReadyEndpoints: 2))
        #expect(sites.nodes[here].clients.isEmpty && sites.nodes[sidecar].clients.isEmpty)
        sites.feed(.endpoints("backend-pods", [pod(1), pod(2)]), to: there)
        sites.run(milliseconds: 1_000)
        for node in [here, sidecar] {
            let site = sites.connect(backend, at: node)
            #expect(site == far)
        }
        sites.expectSameWhenReplayed()
    }

    @Test("a lost Link is dialed again, and counted", arguments: Seeds.some())
    func lostLink(seed: UInt64) throws {
        var sites = try sites(seed: seed, loops: 2)
        sites.run(milliseconds: 2_000)
        #expect(sites.lanes(0, 1).count == 2, "one lane to each loop")
        for round in 1...3 {
            for lane in sites.lanes(0, 1) { sites.cut(lane) }
            sites.run(milliseconds: 50)
            #expect(sites.lanes(0, 1).isEmpty)
            sites.run(milliseconds: 3_000)
            #expect(sites.lanes(0, 1).count == 2)
            #expect(sites.targets(backend, at: 0) == [far: .usable])
            #expect(sites.nodes[0].snapshot?.links.first?.losses == UInt64(round))
        }
        sites.expectSameWhenReplayed()
    }

    @Test(
        "a Link that is not allowed says what to add; it comes up once it is, and ends when it is no more"
    )
    func allowed() throws {
        var sites = try sites()
        sites.configure(1, 2, .of(far, allow: [site(3)]))
        sites.run(milliseconds: 3_000)
        let refused = sites.nodes[0].snapshot?.links.first
        #expect(refused?.reason == .notAllowed)
        #expect(refused?.message.contains("siteID: \(near)") == true)
        #expect(sites.nodes[1].snapshot?.refused.map(\.reason) == [.notAllowed])
        #expect(sites.nodes[1].log.count == 1, "once, however often it comes")
        sites.configure(1, 3, .of(far, allow: [near]))
        sites.run(milliseconds: 12_000)
        #expect(sites.lanes(0, 1).count == 1)
        sites.configure(1, 4, .of(far, allow: [site(3)]))
        sites.run(milliseconds: 100)
        #expect(sites.lanes(0, 1).isEmpty)
    }

    /// Gives one side new credentials; the lanes that take the place of those before, while the Link stays up.
    private func renew(_ side: Int, of sites: inout SimulatedSites) -> [Int] {
        let before = sites.lanes(0, 1)
        sites.feed(.credentials(certificateChain: [[2]], agreementKey: [2]), to: side)
        for _ in 0..<40 {
            sites.run(milliseconds: 50)
            #expect(sites.nodes[0].snapshot?.links.first?.reason == .connected)
            #expect(sites.targets(backend, at: 0) == [far: .usable])
        }
        let after = sites.lanes(0, 1)
        #expect(after.count == 1 && Set(after).isDisjoint(with: before))
        sites.expectSameWhenReplayed()
        return after
    }

    @Test("new credentials reach lanes that are up: others take their place, and the Link stays up")
    func renewedCredentials() throws {
        var sites = try sites()
        sites.run(milliseconds: 2_000)
        let after = renew(0, of: &sites)
        // The same again is no news.
        sites.feed(.credentials(certificateChain: [[2]], agreementKey: [2]), to: 0)
        sites.run(milliseconds: 2_000)
        #expect(sites.lanes(0, 1) == after)
    }

    @Test("who is dialed and has new credentials asks for lanes that show them, once a minute")
    func renewedAcceptor() throws {
        var sites = try sites()
        sites.run(milliseconds: 2_000)
        let after = renew(1, of: &sites)
        // It cannot make the dialer dial without end.
        sites.feed(.credentials(certificateChain: [[3]], agreementKey: [3]), to: 1)
        sites.run(milliseconds: 2_000)
        #expect(sites.lanes(0, 1) == after)
        sites.run(milliseconds: 60_000)
        sites.feed(.credentials(certificateChain: [[4]], agreementKey: [4]), to: 1)
        sites.run(milliseconds: 2_000)
        #expect(Set(sites.lanes(0, 1)).isDisjoint(with: after))
    }

    @Test(
        "a gateway with a Link that works is ready 500 ms after it is up, one that is dead delays it no longer"
    )
    func readiness() throws {
        var sites = try sites()
        sites.run(milliseconds: 400)
        #expect(!sites.nodes[0].isReady)
        sites.run(milliseconds: 600)
        #expect(sites.nodes[0].isReady && sites.nodes[1].isReady)

        var lost = SimulatedSites(seed: 1)
        let alone = lost.gateway(proxy(near, 1))
        lost.run(milliseconds: 5_000)
        #expect(!lost.nodes[alone].isReady, "without a configuration never")
        let link = try LinkConfiguration(
            "far",
            to: far,
            at: HostAndPort(host: "nowhere", port: 5671)
        )
        lost.configure(alone, 1, .of(near, links: [link]))
        lost.run(milliseconds: 1_000)
        #expect(lost.nodes[alone].isReady, "a Link that has failed is decided")
        lost.feed(.drain, to: alone)
        #expect(!lost.nodes[alone].isReady)
    }

    @Test("a gateway that drains is a last resort, and lets nobody in")
    func drain() throws {
        var sites = try sites()
        sites.run(milliseconds: 2_000)
        let connected = sites.connect(backend, at: 0)
        #expect(connected == far)
        sites.feed(.drain, to: 1)
        sites.run(milliseconds: 500)
        #expect(sites.targets(backend, at: 0) == [far: .draining])
        let still = sites.connect(backend, at: 0)
        #expect(still == far, "it serves those who know no other")
        // Others were dialed in the place of its lanes, and refused.
        #expect(sites.nodes[1].refusals.contains { $0.reason == .shutdown })
        sites.feed(.stopListening, to: 1)
        #expect(sites.nodes[1].ports.isEmpty && sites.nodes[1].clients.isEmpty)
        #expect(sites.lanes(0, 1).count == 1, "what is open goes on")
        sites.feed(.stop, to: 1)
        sites.kill(1)
        sites.run(milliseconds: 1_000)
        #expect(sites.targets(backend, at: 0) == [far: .unreachable])
        sites.expectSameWhenReplayed()
    }

    @Test(
        "a service that is taken out is served until every loop knows, then its connections are reset"
    )
    func takenOut() throws {
        var sites = try sites()
        sites.run(milliseconds: 2_000)
        sites.delay = 300...300
        sites.configure(1, 2, .of(far, allow: [near]))
        sites.run(milliseconds: 200)
        #expect(sites.nodes[1].services[backend] != nil, "loops still give it clients")
        #expect(resets(sites).isEmpty)
        sites.run(milliseconds: 1_000)
        #expect(sites.nodes[1].services[backend] == nil)
        #expect(resets(sites) == [[backend]])
    }

    private func resets(_ sites: SimulatedSites) -> [[ServicePort]] {
        sites.nodes[1].record.flatMap(\.outputs).compactMap {
            if case .reset(let ports) = $0 { ports } else { nil }
        }
    }

    @Test("thousands of services are taken up in steps, and all of them")
    func steps() throws {
        var sites = SimulatedSites(seed: 3)
        let gateway = sites.gateway(proxy(near, 1))
        let services = try (0..<2_000).map {
            try ServiceConfiguration.named("s\($0)", listens: nil)
        }
        sites.configure(gateway, 1, .of(near, services: services))
        sites.run(milliseconds: 3_000)
        #expect(sites.nodes[gateway].services.count == 2_000)
        #expect(sites.nodes[gateway].snapshot?.services.count == 2_000)
        let most = sites.nodes[gateway].record.map(\.outputs.count).max() ?? 0
        #expect(most < 200, "no input has \(most) outputs")
        let before = sites.nodes[gateway].record.count
        sites.feed(.endpoints("s7-pods", [pod(1)]), to: gateway)
        sites.run(milliseconds: 500)
        let steps = sites.nodes[gateway].record[before...]
        let updates = steps.flatMap(\.outputs).filter {
            if case .updateService = $0 { true } else { false }
        }
        #expect(updates.count == 1, "a change of one service costs one")
    }
}
