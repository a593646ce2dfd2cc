import NetworkModel
import ProxyContract
import TestSupport
import Testing
import Wire

@testable import SiteControl

/// The gateways and sidecars of one site, in virtual time.
@Suite("One site in virtual time")
struct OneSiteTests {
    private let home = TestSupport.site(1)
    private let services = (0..<3).map { port("s\($0)/http") }

    /// Two gateways (0, 1) and two sidecars (2, 3).
    private func proxies(seed: UInt64) throws -> SimulatedSites {
        var sites = SimulatedSites(seed: seed)
        for number in 1...2 as ClosedRange<UInt64> {
            _ = sites.gateway(proxy(home, number), mesh: "gateways", loops: 2)
        }
        for number in 8...9 as ClosedRange<UInt64> {
            _ = sites.sidecar(proxy(home, number), of: "gateways", services)
        }
        for node in 0...1 { try configure(&sites, node, generation: 1, services: 0..<3) }
        return sites
    }

    private func configure(
        _ sites: inout SimulatedSites,
        _ node: Int,
        generation: UInt64,
        services: Range<Int>
    ) throws {
        sites.configure(
            node,
            generation,
            .of(home, services: try services.map { try .named("s\($0)") })
        )
        for index in services {
            sites.feed(.endpoints("s\(index)-pods", [pod(index * 10 + 1)]), to: node)
        }
    }

    @Test(
        "gateways find each other with the lanes that their loops want, and sidecars each of them"
    )
    func mesh() throws {
        var sites = try proxies(seed: 5)
        // The first gateway hears of the second when it asks for the name again.
        sites.run(milliseconds: 7_000)
        #expect(
            sites.lanes(0, 1).count == 3,
            "those that the smaller one dials, and the first of the other"
        )
        for sidecar in 2...3 {
            for gateway in 0...1 { #expect(sites.lanes(sidecar, gateway).count == 2) }
            #expect(sites.nodes[sidecar].isReady)
            #expect(sites.nodes[sidecar].clients.count == 3)
        }
        // Its own address answers, and is not dialed again.
        let own = sites.nodes[0].refusals.filter { $0.reason == .toSelf }
        #expect(own.count == 1)
        sites.expectSameWhenReplayed()
    }

    @Test("P9: a link port that one loop cannot open is told, with the reason, until it is open")
    func linkPort() throws {
        var sites = SimulatedSites(seed: 3)
        let gateway = sites.gateway(proxy(home, 1), loops: 2)
        var configuration = SiteConfiguration.of(home, services: [])
        configuration.acceptsLinks = true
        sites.configure(gateway, 1, configuration)
        sites.run(milliseconds: 1_000)
        let open = try #require(sites.nodes[gateway].snapshot)
        #expect(open.linkPortError == nil)
        let port = try #require(sites.nodes[gateway].ports.first { $0.purpose == .link })
        sites.feed(.lanePort(port, loop: 1, failure: "address in use"), to: gateway)
        sites.run(milliseconds: 1_000)
        let error = "port \(port.port): address in use"
        #expect(sites.nodes[gateway].snapshot?.linkPortError == error)
        sites.feed(.lanePort(port, loop: 1, failure: nil), to: gateway)
        sites.run(milliseconds: 1_000)
        let mended = try #require(sites.nodes[gateway].snapshot)
        #expect(mended.linkPortError == nil)
        sites.expectSameWhenReplayed()
    }

    @Test(
        "once all is quiet every proxy knows what the others have open, whatever was lost or came late",
        arguments: Seeds.some(8)
    )
    func counts(seed: UInt64) throws {
        var sites = try proxies(seed: seed)
        sites.delay = 1...40
        sites.run(milliseconds: 4_000)
        for _ in 0..<120 {
            let node = Int.random(in: 0..<4, using: &sites.random)
            let service = try #require(services.randomElement(using: &sites.random))
            switch Int.random(in: 0..<10, using: &sites.random) {
            case 0...4: sites.connect(service, at: node)
            case 5...7: sites.release(service, at: node)
            default:
                let open = sites.lanes.indices.filter { sites.lanes[$0].isOpen }
                if let lane = open.randomElement(using: &sites.random) { sites.cut(lane) }
            }
            sites.run(milliseconds: Int.random(in: 0...60, using: &sites.random))
        }
        sites.run(milliseconds: 30_000)
        expectTrueCounts(sites)
        sites.expectSameWhenReplayed()
    }

    private func expectTrueCounts(_ sites: SimulatedSites) {
        for node in 0..<4 {
            for service in services {
                var truth: [SiteID: UInt64] = [:]
                for other in 0..<4 where other != node {
                    let own = sites.nodes[other].services[service]?.own ?? [:]
                    truth.merge(own) { $0 + $1 }
                }
                let believed = sites.nodes[node].services[service]?.others ?? [:]
                #expect(believed == truth, "proxy \(node), \(service)")
            }
        }
    }

    @Test("a gateway that starts again tells all, sidecars included, that it was another one")
    func succession() throws {
        var sites = try proxies(seed: 12)
        sites.run(milliseconds: 4_000)
        let old = sites.nodes[1].id
        sites.kill(1)
        sites.run(milliseconds: 1_000)
        #expect(sites.nodes.flatMap(Self.ended).isEmpty, "a loss proves nothing")
        let new = sites.gateway(
            proxy(home, 3),
            mesh: "gateways",
            loops: 2,
            predecessors: [old]
        )
        try configure(&sites, new, generation: 1, services: 0..<3)
        sites.run(milliseconds: 15_000)
        // Sidecars hear it of each gateway.
        for node in [0, 2, 3] {
            #expect(Set(Self.ended(sites.nodes[node])) == [[old]], "proxy \(node)")
        }
    }

    private static func ended(_ node: SimulatedSites.Node) -> [Set<ProxyID>] {
        node.record.flatMap(\.outputs).compactMap { output in
            if case .ended(let proxies) = output { proxies } else { nil }
        }
    }

    @Test("what a sidecar had open is gone with it, and what a gateway had is")
    func gone() throws {
        var sites = try proxies(seed: 11)
        sites.run(milliseconds: 4_000)
        for node in 0..<4 { for service in services { sites.connect(service, at: node) } }
        sites.run(milliseconds: 1_000)
        #expect(sites.nodes[0].services[services[0]]?.others == [home: 3])
        sites.kill(3)
        sites.run(milliseconds: 1_000)
        #expect(sites.nodes[0].services[services[0]]?.others == [home: 2])
        #expect(sites.nodes[2].services[services[0]]?.others == [home: 2])
        sites.kill(1)
        sites.run(milliseconds: 1_000)
        #expect(sites.nodes[0].services[services[0]]?.others == [home: 1])
        #expect(sites.nodes[2].services[services[0]]?.others == [home: 1])
    }

    @Test(
        "sidecars end up with what the gateways know and the newest configuration, whatever was cut on the way",
        arguments: Seeds.some(8)
    )
    func tables(seed: UInt64) throws {
        var sites = try proxies(seed: seed)
        sites.delay = 1...30
        sites.run(milliseconds: 3_000)
        var generation: UInt64 = 1
        for _ in 0..<40 {
            switch Int.random(in: 0..<4, using: &sites.random) {
            case 0:
                generation += 1
                let count = Int.random(in: 1...3, using: &sites.random)
                for node in 0...1 {
                    try configure(&sites, node, generation: generation, services: 0..<count)
                }
            case 1:
                let index = Int.random(in: 0..<3, using: &sites.random)
                let pods = (0..<Int.random(in: 0...3, using: &sites.random)).map { pod($0 + 1) }
                for node in 0...1 { sites.feed(.endpoints("s\(index)-pods", pods), to: node) }
            default:
                let open = sites.lanes.indices.filter { sites.lanes[$0].isOpen }
                if let lane = open.randomElement(using: &sites.random) { sites.cut(lane) }
            }
            sites.run(milliseconds: Int.random(in: 0...150, using: &sites.random))
        }
        sites.run(milliseconds: 30_000)
        for sidecar in 2...3 {
            for service in services {
                let known = sites.nodes[0].services[service]
                var (mine, theirs) = (sites.nodes[sidecar].services[service], known)
                let usable = theirs?.report().hasTarget ?? false
                #expect(mine?.report().hasTarget ?? false == usable, "\(sidecar): \(service)")
            }
        }
        for gateway in 0...1 {
            let applied = sites.nodes[gateway].snapshot?.sidecars.map(\.appliedGeneration)
            #expect(applied == [generation, generation])
        }
        sites.expectSameWhenReplayed()
    }

    @Test("a sidecar leaves a gateway that drains, and keeps the last one")
    func drain() throws {
        var sites = try proxies(seed: 2)
        sites.run(milliseconds: 4_000)
        sites.feed(.drain, to: 0)
        sites.run(milliseconds: 500)
        let routes = try #require(sites.nodes[2].control as? SidecarControl).routes
        let ways = routes.targets(services[0]).flatMap(\.routes)
        #expect(ways == [[sites.nodes[1].id]])
        sites.kill(1)
        sites.run(milliseconds: 500)
        let rest = try #require(sites.nodes[2].control as? SidecarControl).routes
        #expect(rest.targets(services[0]).flatMap(\.routes) == [[sites.nodes[0].id]])
    }

    @Test("what a sidecar counts reaches its gateways' snapshots, once")
    func reports() throws {
        var sites = try proxies(seed: 3)
        sites.run(milliseconds: 4_000)
        for _ in 0..<3 { sites.connect(services[0], at: 2) }
        sites.run(milliseconds: 2_000)
        for gateway in 0...1 {
            let shown = sites.nodes[gateway].snapshot?.sidecars.first {
                $0.proxy == sites.nodes[2].id
            }
            #expect(shown?.counters.map(\.active) == [3])
        }
    }
}
