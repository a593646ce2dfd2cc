import NetworkModel
import ProxyContract
import SiteControl
import Testing

@testable import Proxy

/// Real sockets through real gateways: the figures of exact balancing, connections opened one by one and held.
@Suite("Balanced traffic", .timeLimit(.minutes(3)), .serialized)
struct BalancedTrafficTests {
    private let traffic: TestTraffic

    init() throws { traffic = try TestTraffic() }

    private func place(
        _ name: String,
        servers: Int,
        allow: [TestSite] = [],
        listens: Bool = false,
        loops: Int = 1
    ) async throws -> Place {
        let site = try TestSite(name, allow: allow.map(\.id))
        return try await place(site, servers: servers, listens: listens, loops: loops)
    }

    private func place(
        _ site: TestSite,
        servers: Int,
        listens: Bool = false,
        loops: Int = 1
    ) async throws -> Place {
        try await Place(site, servers: servers, traffic: traffic, listens: listens, loops: loops)
    }

    private func stop(_ places: Place...) async {
        for place in places { await place.proxy.stop() }
        traffic.stop()
    }

    @Test("a local server keeps all of 320 before a backup of cost 9999", arguments: [1, 2])
    func localAndBackup(loops: Int) async throws {
        let main = try TestSite("main")
        let backup = try await place("backup", servers: 1, allow: [main], loops: loops)
        let local = try await place(main, servers: 1, listens: true, loops: loops)
        try local.link(to: backup, cost: 9999)
        await local.waitForTargets(2)
        #expect(await traffic.hold(320, at: local.listen) == ["main": 320])
        await stop(local, backup)
    }

    @Test("two local pods and a remote one of cost 1: 27 and 13 of 40", arguments: [1, 2])
    func twoLocalPods(loops: Int) async throws {
        let main = try TestSite("main")
        let remote = try await place("remote", servers: 1, allow: [main], loops: loops)
        let local = try await place(main, servers: 2, listens: true, loops: loops)
        try local.link(to: remote, cost: 1)
        await local.waitForTargets(2)
        let held = await traffic.hold(40, at: local.listen)
        #expect(held["remote"] == 13)
        #expect([held["main"], held["main-1"]].compactMap(\.self).sorted() == [13, 14])
        await stop(local, remote)
    }

    @Test("a chain A-B-C and A-D of cost 1: C 19, of B and D the smaller SiteID 21")
    func chain() async throws {
        let (a, b, c) = (try TestSite("a"), try TestSite("b"), try TestSite("c"))
        _ = b.edit { $0.allow = [SiteName(id: a.id)] }
        _ = c.edit { $0.allow = [SiteName(id: b.id)] }
        let first = try await place(a, servers: 0, listens: true)
        let second = try await place(b, servers: 1)
        let third = try await place(c, servers: 1)
        let fourth = try await place("d", servers: 1, allow: [a])
        try first.link(to: second, cost: 1)
        try second.link(to: third, cost: 1)
        try first.link(to: fourth, cost: 1)
        let snapshot = await first.waitForTargets(3)
        #expect(snapshot.target(c)?.pathCost == PathCost(2))
        let held = await traffic.hold(60, at: first.listen)
        let smaller = b.id < fourth.site.id ? "b" : "d"
        #expect(held["c"] == 19)
        #expect(held[smaller] == 21)
        #expect(held[smaller == "b" ? "d" : "b"] == 20)
        await stop(first, second, third, fourth)
    }

    @Test(
        "a difference of 50 is exact at every load, also after a half was closed",
        arguments: [1, 2]
    )
    func difference(loops: Int) async throws {
        let ingress = try TestSite("ingress")
        let near = try await place("near", servers: 1, allow: [ingress], loops: loops)
        let far = try await place("far", servers: 1, allow: [ingress], loops: loops)
        let client = try await place(ingress, servers: 0, listens: true, loops: loops)
        try client.link(to: near, cost: 1)
        try client.link(to: far, cost: 51)
        await client.waitForTargets(2)
        var open: [HeldClient] = []
        for total in [20, 50, 101, 200] {
            while open.count < total {
                open.append(try #require(await traffic.connect(to: client.listen)))
            }
            let names = open.map(\.name)
            let (nears, fars) = (names.count { $0 == "near" }, names.count { $0 == "far" })
            if total <= 50 {
                #expect((nears, fars) == (total, 0))
            } else {
                #expect(abs(nears - fars - 50) <= 1)
            }
        }
        open.shuffle()
        for _ in 0..<100 { await traffic.close(open.removeLast()) }
        await client.proxy.wait("closed") { $0.counters.first?.active == 100 }
        while open.count < 200 {
            open.append(try #require(await traffic.connect(to: client.listen)))
        }
        let fars = open.count { $0.name == "far" }
        #expect(abs((200 - fars) - fars - 50) <= 1)
        await stop(client, near, far)
    }

    @Test("B1: eleven servers and four take 234 and 86 of 320; a fifth is seen within a second")
    func exactCounts() async throws {
        let ingress = try TestSite("ingress")
        let many = try await place("many", servers: 11, allow: [ingress])
        let few = try await place("few", servers: 4, allow: [ingress])
        let client = try await place(ingress, servers: 0, listens: true)
        try client.link(to: many, cost: 1)
        try client.link(to: few, cost: 1)
        await client.proxy.wait("exact counts") {
            $0.target(many.site)?.endpoints == 11 && $0.target(few.site)?.endpoints == 4
        }
        let held = await traffic.hold(320, at: client.listen)
        let fews = held.filter { $0.key.hasPrefix("few") }.values.reduce(0, +)
        #expect(held.values.reduce(0, +) == 320 && held["none"] == nil)
        #expect(fews == 86, "\(held)")
        let fifth = try await traffic.serve("few-4", at: Loopback.address())
        // One of three may be late on a busy machine.
        var fastest = Duration.seconds(60)
        for pods in [few.pods + [fifth], few.pods, few.pods + [fifth]] {
            let start = ContinuousClock.now
            few.proxy.setEndpoints(service: "backend-pods", pods)
            await client.proxy.wait("\(pods.count)") {
                $0.target(few.site)?.endpoints == UInt32(pods.count)
            }
            fastest = min(fastest, ContinuousClock.now - start)
        }
        #expect(fastest < .seconds(1))
        await stop(client, many, few)
    }

    @Test("20 short connections over two equal sites: 10 each")
    func trickle() async throws {
        let ingress = try TestSite("ingress")
        let first = try await place("first", servers: 1, allow: [ingress])
        let second = try await place("second", servers: 1, allow: [ingress])
        let client = try await place(ingress, servers: 0, listens: true)
        try client.link(to: first, cost: 1)
        try client.link(to: second, cost: 1)
        await client.waitForTargets(2)
        var taken: [String: Int] = [:]
        for round in 0..<20 {
            let held = try #require(await traffic.connect(to: client.listen))
            taken[held.name, default: 0] += 1
            await traffic.close(held)
            await client.proxy.wait("closed \(round)") {
                ($0.counters.first?.active ?? 0) == 0
                    && ($0.counters.first?.opened ?? 0) == UInt64(round) + 1
            }
        }
        #expect(taken == ["first": 10, "second": 10])
        await stop(client, first, second)
    }

    @Test("the preferred server dies: no connection fails, one failover; it returns, one failback")
    func failover() async throws {
        let main = try TestSite("main")
        let backup = try await place("backup", servers: 1, allow: [main])
        let local = try await place(main, servers: 1, listens: true)
        try local.link(to: backup, cost: 500)
        let up = await local.waitForTargets(2)
        #expect(up.services.first?.listening == true)
        #expect(await traffic.hold(3, at: local.listen) == ["main": 3])
        await traffic.kill("main")
        #expect(await traffic.hold(20, at: local.listen) == ["backup": 20])
        let failed = await local.proxy.wait("a failover") { !$0.failovers.isEmpty }
        let record = try #require(failed.failovers.first)
        #expect(record.from.id == main.id && record.to.id == backup.site.id)
        #expect(record.reason == "ConnectRefused")
        #expect(failed.counters.first?.failed == 0)
        // Back as a new pod.
        let pod = try await traffic.serve("main", at: Loopback.address())
        local.proxy.setEndpoints(service: "backend-pods", [])
        local.proxy.setEndpoints(service: "backend-pods", [pod])
        await local.proxy.wait("usable again") { $0.target(main)?.state == .usable }
        #expect(await traffic.hold(3, at: local.listen) == ["main": 3])
        let back = await local.proxy.wait("a failback") { $0.failovers.count > 1 }
        #expect(back.failovers.map(\.reason).last == "Failback")
        #expect(back.failovers.count == 2)
        await stop(local, backup)
    }

    @Test("a patched cost steers the next connection and drops none")
    func patchedCost() async throws {
        let main = try TestSite("main")
        let remote = try await place("remote", servers: 1, allow: [main])
        let local = try await place(main, servers: 1, listens: true)
        try local.link(to: remote, cost: 100)
        await local.waitForTargets(2)
        var held: [HeldClient] = []
        for _ in 0..<30 { held.append(try #require(await traffic.connect(to: local.listen))) }
        #expect(held.allSatisfy { $0.name == "main" })
        for round in 0..<20 {
            let cost = try #require(LinkCost(round % 2 == 0 ? 1 : 100))
            local.proxy.apply(local.site.edit { $0.links[0].cost = cost })
            await local.proxy.wait("the cost") {
                $0.target(remote.site)?.pathCost == PathCost(cost)
            }
            let next = try #require(await traffic.connect(to: local.listen))
            #expect(next.name == (round % 2 == 0 ? "remote" : "main"))
            held.append(next)
        }
        for client in held { #expect(await traffic.isOpen(client)) }
        #expect(local.proxy.snapshot.links.first?.losses == 0)
        await stop(local, remote)
    }

    @Test("three sidecars share their counts: off by at most three after quiescence")
    func sidecars() async throws {
        let ingress = try TestSite("ingress")
        let near = try await place("near", servers: 1, allow: [ingress])
        let far = try await place("far", servers: 1, allow: [ingress])
        let client = try await place(ingress, servers: 0)
        try client.link(to: near, cost: 1)
        try client.link(to: far, cost: 51)
        let service = try #require(ServicePort("backend/http"))
        var sidecars: [(Proxy, Endpoint)] = []
        for _ in 0..<3 {
            let endpoint = Endpoint(address: Loopback.address(), port: 8080)
            let listener = SidecarListener(service: service, endpoint: endpoint)
            sidecars.append((try ingress.sidecar(of: client.gateway.address, [listener]), endpoint))
        }
        for (sidecar, _) in sidecars {
            await sidecar.wait("both usable") { $0.usable == 2 }
        }
        var held: [String: Int] = [:]
        for index in 0..<200 {
            let name = await traffic.connect(to: sidecars[index % 3].1)?.name ?? "none"
            held[name, default: 0] += 1
            try await ContinuousClock().sleep(for: .milliseconds(5))
        }
        let (nears, fars) = (held["near"] ?? 0, held["far"] ?? 0)
        #expect(nears + fars == 200)
        #expect(abs(nears - fars - 50) <= 13)
        await client.proxy.wait("reported") { snapshot in
            snapshot.sidecars.reduce(0) { $0 + ($1.counters.first?.opened ?? 0) } == 200
        }
        for (sidecar, _) in sidecars { await sidecar.stop() }
        await stop(client, near, far)
    }
}
