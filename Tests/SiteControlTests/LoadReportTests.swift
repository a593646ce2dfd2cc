import Balancing
import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import SiteControl

@Suite("Load reports between sites")
struct LoadReportTests {
    private let service = port("web/http")

    /// Sites with a client each, which dial two sites with a server each, at 10 and 30.
    private func network(
        clients: Int,
        loadFrom: BalancingPolicy.LoadFrom
    ) throws -> (sites: SimulatedSites, clients: [Int], servers: [Int]) {
        var sites = SimulatedSites(seed: 5)
        let servers = (0..<2).map { sites.gateway(proxy(site(10 + $0), 1)) }
        let ingress = (0..<clients).map { sites.gateway(proxy(site(1 + $0), 1)) }
        let allowed = ingress.map { sites.nodes[$0].id.site }
        for node in servers {
            var offered = try ServiceConfiguration.named("web")
            offered.balancing = BalancingPolicy(loadFrom: loadFrom)
            let own = sites.nodes[node].id.site
            sites.configure(node, 1, .of(own, allow: allowed, services: [offered]))
            sites.feed(.endpoints("web-pods", [pod(1)]), to: node)
        }
        for node in ingress {
            var used = try ServiceConfiguration.named("web", provides: false, listens: 9_000)
            used.balancing = BalancingPolicy(loadFrom: loadFrom)
            let links = [
                try sites.link("near", to: servers[0], cost: 10),
                try sites.link("far", to: servers[1], cost: 30),
            ]
            sites.configure(node, 1, .of(sites.nodes[node].id.site, links: links, services: [used]))
        }
        sites.run(milliseconds: 3_000)
        return (sites, ingress, servers)
    }

    /// Each site opens `count` connections, one every 20 ms; how many each server has then.
    private func counts(
        clients: Int,
        each count: Int,
        _ loadFrom: BalancingPolicy.LoadFrom
    ) throws -> [Int] {
        var (sites, ingress, servers) = try network(clients: clients, loadFrom: loadFrom)
        var counts = [0, 0]
        for _ in 0..<count {
            for node in ingress {
                let site = sites.connect(service, at: node)
                let chosen = try #require(servers.firstIndex { sites.nodes[$0].id.site == site })
                counts[chosen] += 1
                sites.serve(service, at: servers[chosen])
                sites.run(milliseconds: 20 / clients)
            }
        }
        sites.expectSameWhenReplayed()
        return counts
    }

    @Test("five sites with 200 connections each share two servers as one site with 1,000 would")
    func fiveSites() throws {
        // One site has 20 more at the server that costs 20 less: 510 and 490. Five that know nothing of each other have 100 more.
        #expect(try counts(clients: 5, each: 200, .thisSite) == [550, 450])
        let counts = try counts(clients: 5, each: 200, .allSites)
        print("1,000 connections of five sites: \(counts), at best [510, 490]")
        #expect(abs(counts[0] - 510) <= 25)
    }

    @Test("a site's own connections count once")
    func own() throws {
        let counts = try counts(clients: 1, each: 200, .allSites)
        #expect(abs(counts[0] - 110) <= 1)
    }

    @Test("reports come at most ten times a second, and what ends is taken off")
    func paced() throws {
        var (sites, ingress, servers) = try network(clients: 2, loadFrom: .allSites)
        func signed() -> Int {
            sites.nodes[servers[0]].record.flatMap(\.outputs)
                .count { if case .sign = $0 { true } else { false } }
        }
        let before = signed()
        for _ in 0..<500 {
            sites.serve(service, at: servers[0])
            sites.run(milliseconds: 2)
        }
        #expect(signed() - before <= 11)
        sites.run(milliseconds: 500)
        let known = try sites.gateway(ingress[0]).counts.elsewhere(service)
        let own = sites.nodes[servers[0]].id.site
        let heard = try #require(known[own])
        // Reported anew when it has moved by more than a 64th.
        #expect((492...500).contains(heard))
        // A site that does not ask for it does not count it.
        var used = try ServiceConfiguration.named("web", provides: false, listens: 9_000)
        used.balancing = BalancingPolicy()
        let links = [try sites.link("near", to: servers[0], cost: 10)]
        let site = sites.nodes[ingress[0]].id.site
        sites.configure(ingress[0], 2, .of(site, links: links, services: [used]))
        #expect(try sites.gateway(ingress[0]).counts.elsewhere(service).isEmpty)
    }
}
