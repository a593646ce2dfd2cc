import Glibc
import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import Proxy
@testable import SiteControl

/// What breaks, and what clients see of it.
@Suite("Faults", .timeLimit(.minutes(3)), .serialized)
struct FaultTests {
    private let traffic: TestTraffic

    init() throws { traffic = try TestTraffic() }

    @Test("a site is gone: its connections are reset, new ones go elsewhere, one record says so")
    func lostSite() async throws {
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 1,
            traffic: traffic
        )
        let far = try await Place(TestSite("far", allow: [main.id]), servers: 1, traffic: traffic)
        let client = try await Place(main, servers: 0, traffic: traffic, listens: true)
        try client.link(to: near, cost: 1)
        try client.link(to: far, cost: 500)
        await client.waitForTargets(2)
        var held: [HeldClient] = []
        for _ in 0..<5 { held.append(try #require(await traffic.connect(to: client.listen))) }
        #expect(held.allSatisfy { $0.name == "near" })
        await near.proxy.stop()
        #expect(await traffic.hold(10, at: client.listen) == ["far": 10])
        for connection in held { #expect(await !traffic.isOpen(connection)) }
        let snapshot = await client.proxy.wait("a record") { !$0.failovers.isEmpty }
        let record = try #require(snapshot.failovers.first)
        #expect(record.from.id == near.site.id && record.to.id == far.site.id)
        #expect(record.lost == 5)
        #expect(["LinkLost", "SiteLost"].contains(record.reason))
        #expect(snapshot.counters.first?.interrupted == 5)
        #expect(snapshot.counters.first?.failed == 0)
        #expect(snapshot.links.first { $0.name.text == "near" }?.losses == 1)
        await client.proxy.stop()
        await far.proxy.stop()
        traffic.stop()
    }

    @Test("a gateway drains: what is open may end, what is new goes elsewhere, nothing fails")
    func drain() async throws {
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 1,
            traffic: traffic
        )
        let far = try await Place(TestSite("far", allow: [main.id]), servers: 1, traffic: traffic)
        let client = try await Place(main, servers: 0, traffic: traffic, listens: true)
        try client.link(to: near, cost: 1)
        try client.link(to: far, cost: 500)
        await client.waitForTargets(2)
        let held = try #require(await traffic.connect(to: client.listen))
        #expect(held.name == "near")
        near.proxy.apply(
            near.site.edit { $0.drain = DrainParameters(delay: .zero, grace: .seconds(20)) }
        )
        let end = Task { await near.proxy.drain() }
        await client.proxy.wait("draining") { $0.target(near.site)?.state == .draining }
        #expect(await traffic.hold(5, at: client.listen) == ["far": 5])
        #expect(await traffic.isOpen(held))
        #expect(!near.proxy.isReady)
        await traffic.close(held)
        await end.value
        let snapshot = await client.proxy.wait("a record") { !$0.failovers.isEmpty }
        #expect(snapshot.failovers.map(\.reason) == ["Draining"])
        #expect(snapshot.counters.first?.failed == 0)
        #expect(snapshot.counters.first?.interrupted == 0)
        await client.proxy.stop()
        await far.proxy.stop()
        traffic.stop()
    }

    private func hasStoppedListening(_ proxy: Proxy) async -> Bool {
        await withCheckedContinuation { continuation in
            proxy.tellControl {
                let control = $0.control as? GatewayControl
                continuation.resume(returning: control?.hasStoppedListening == true)
            }
        }
    }

    /// Waits until `condition` holds; false when it did not within ten seconds.
    private func eventually(_ condition: () async -> Bool) async -> Bool {
        let end = EventLoop.clock() + .seconds(10)
        while await !condition() {
            guard EventLoop.clock() < end else { return false }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    @Test("a gateway that drains serves those who know no other for as long as it is there")
    func onlyGatewayDrains() async throws {
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 1,
            traffic: traffic
        )
        let client = try await Place(main, servers: 0, traffic: traffic, listens: true)
        try client.link(to: near, cost: 1)
        await client.waitForTargets(1)
        let held = try #require(await traffic.connect(to: client.listen))
        near.proxy.apply(
            near.site.edit { $0.drain = DrainParameters(delay: .zero, grace: .seconds(20)) }
        )
        let end = Task { await near.proxy.drain() }
        await client.proxy.wait("draining") { $0.target(near.site)?.state == .draining }
        #expect(await eventually { await hasStoppedListening(near.proxy) })
        for _ in 0..<5 {
            let other = try #require(await traffic.connect(to: client.listen))
            #expect(other.name == "near")
            await traffic.close(other)
        }
        await traffic.close(held)
        await end.value
        #expect(client.proxy.snapshot.counters.first?.failed == 0)
        #expect(client.proxy.snapshot.counters.first?.interrupted == 0)
        await client.proxy.stop()
        traffic.stop()
    }

    @Test("a service is advertised once every loop knows it: one that stands still refuses nobody")
    func loopThatStandsStill() async throws {
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 0,
            traffic: traffic,
            loops: 2
        )
        let client = try await Place(main, servers: 0, traffic: traffic, listens: true)
        try client.link(to: near, cost: 1)
        let hasLanes = await eventually {
            near.proxy.neighborUsage.contains { $0.resource == "lanes" && $0.used == 2 }
        }
        #expect(hasLanes, "a lane to each loop")
        let pod = try await traffic.serve("near", at: Loopback.address())
        near.proxy.tellControl { control in
            control.core.mailboxes[1].post { _ in usleep(600_000) }
        }
        let service = try ServiceConfiguration.backend()
        near.proxy.setEndpoints(service: "backend-pods", [pod])
        near.proxy.apply(near.site.edit { $0.services = [service] })
        await client.waitForTargets(1)
        #expect(await traffic.hold(8, at: client.listen) == ["near": 8])
        await client.proxy.stop()
        await near.proxy.stop()
        traffic.stop()
    }

    @Test("without a usable target the port is closed, and open again with the first one")
    func closedListener() async throws {
        let place = try await Place(
            TestSite("main"),
            servers: 1,
            traffic: traffic,
            listens: true
        )
        await place.waitForTargets(1)
        #expect(await traffic.hold(1, at: place.listen) == ["main": 1])
        place.proxy.setEndpoints(service: "backend-pods", [])
        let closed = await place.proxy.wait("closed") { $0.services.first?.listening == false }
        #expect(closed.backend.map(\.state) == [.unreachable])
        #expect(closed.backend.map(\.reason) == ["NoEndpoints"])
        #expect(await traffic.connect(to: place.listen, limit: .seconds(2)) == nil)
        let pod = try await traffic.serve("next", at: Loopback.address())
        place.proxy.setEndpoints(service: "backend-pods", [pod])
        await place.proxy.wait("open") { $0.services.first?.listening == true }
        #expect(await traffic.hold(1, at: place.listen) == ["next": 1])
        await place.proxy.stop()
        traffic.stop()
    }

    @Test("an address that cannot be bound is told, until the configuration names another one")
    func wrongAddress() async throws {
        let site = try TestSite("main")
        let address = Loopback.address()
        let gateway = try site.gateway(at: address)
        let pod = try await traffic.serve("main", at: Loopback.address())
        gateway.proxy.setEndpoints(service: "backend-pods", [pod])
        let service = try ServiceConfiguration.backend(
            listen: .init(host: "\(address)", port: 8081)
        )
        let second = try ServiceConfiguration.backend(
            listen: .init(host: "203.0.113.7", port: 8080)
        )
        gateway.proxy.apply(site.edit { $0.services = [second] })
        let snapshot = await gateway.proxy.wait("the error") {
            $0.services.first?.listenError != nil
        }
        #expect(snapshot.services.first?.listening == false)
        gateway.proxy.apply(site.edit { $0.services = [service] })
        await gateway.proxy.wait("listening") {
            $0.services.first?.listening == true && $0.services.first?.listenError == nil
        }
        let endpoint = Endpoint(address: address, port: 8081)
        #expect(await traffic.hold(1, at: endpoint) == ["main": 1])
        await gateway.proxy.stop()
        traffic.stop()
    }

    @Test("a client port that another program holds is used soon after it is free")
    func freedPort() async throws {
        let site = try TestSite("main")
        let address = Loopback.address()
        let squatter = try Squatter(address, 8080)
        let gateway = try site.gateway(at: address)
        let pod = try await traffic.serve("main", at: Loopback.address())
        gateway.proxy.setEndpoints(service: "backend-pods", [pod])
        let service = try ServiceConfiguration.backend(
            listen: .init(host: "\(address)", port: 8080)
        )
        gateway.proxy.apply(site.edit { $0.services = [service] })
        let start = ContinuousClock.now
        await gateway.proxy.wait("the error") { $0.services.first?.listenError != nil }
        // Longer than one retry: the second one must not be the last.
        await gateway.proxy.wait("a second failure", limit: .seconds(10)) { _ in
            ContinuousClock.now - start > .seconds(3)
        }
        squatter.leave()
        await gateway.proxy.wait("listening", limit: .seconds(10)) {
            $0.services.first?.listening == true && $0.services.first?.listenError == nil
        }
        #expect(await traffic.hold(1, at: Endpoint(address: address, port: 8080)) == ["main": 1])
        await gateway.proxy.stop()
        traffic.stop()
    }

    @Test(
        "a lane port that another program holds is asked for every 2 s on each loop, and used once it is free"
    )
    func freedLanePort() async throws {
        let site = try TestSite("main")
        let address = Loopback.address()
        let squatter = try Squatter(address, 5672)
        let gateway = try site.gateway(at: address, loops: 3)
        gateway.proxy.apply(site.edit { _ in })
        let start = ContinuousClock.now
        await gateway.proxy.wait("some retries", limit: .seconds(15)) { _ in
            ContinuousClock.now - start > .seconds(7)
        }
        #expect(!gateway.proxy.isReady)
        squatter.leave()
        await gateway.proxy.wait("ready", limit: .seconds(10)) { _ in gateway.proxy.isReady }
        await gateway.proxy.stop()
        traffic.stop()
    }

    @Test("two replicas share their counts: a difference of 50 is kept over both")
    func replicas() async throws {
        let main = try TestSite("main")
        let near = try await Place(
            TestSite("near", allow: [main.id]),
            servers: 1,
            traffic: traffic
        )
        let far = try await Place(TestSite("far", allow: [main.id]), servers: 1, traffic: traffic)
        let addresses = [Loopback.address(), Loopback.address()]
        let gateways = [
            try main.gateway(at: addresses[0], mesh: addresses[1]),
            try main.gateway(at: addresses[1], mesh: addresses[0]),
        ]
        let links = [
            try LinkConfiguration(patient: "near", to: near.site.id, at: near.gateway.linkEndpoint),
            try LinkConfiguration(
                patient: "far",
                to: far.site.id,
                at: far.gateway.linkEndpoint,
                cost: 51
            ),
        ]
        let service = try ServiceConfiguration.backend(provides: false, listen: .init(port: 8080))
        let document = main.edit {
            $0.links = links
            $0.services = [service]
        }
        for gateway in gateways {
            gateway.proxy.apply(document)
            await gateway.proxy.wait("both usable") { $0.usable == 2 }
        }
        var held: [String: Int] = [:]
        for index in 0..<200 {
            let endpoint = Endpoint(address: addresses[index % 2], port: 8080)
            held[await traffic.connect(to: endpoint)?.name ?? "none", default: 0] += 1
            try await ContinuousClock().sleep(for: .milliseconds(5))
        }
        #expect(held.values.reduce(0, +) == 200 && held["none"] == nil)
        #expect(abs((held["near"] ?? 0) - (held["far"] ?? 0) - 50) <= 12)
        // Both gateways know the whole.
        for gateway in gateways {
            await gateway.proxy.wait("all connections") { snapshot in
                snapshot.backend.reduce(0) { $0 + $1.connections } == 200
            }
        }
        for gateway in gateways { await gateway.proxy.stop() }
        await near.proxy.stop()
        await far.proxy.stop()
        traffic.stop()
    }

    @Test("a sidecar with two gateways loses one: no connection fails")
    func sidecarLosesGateway() async throws {
        let main = try TestSite("main")
        let addresses = [Loopback.address(), Loopback.address()]
        let gateways = [
            try main.gateway(at: addresses[0], mesh: addresses[1]),
            try main.gateway(at: addresses[1], mesh: addresses[0]),
        ]
        let pod = try await traffic.serve("main", at: Loopback.address())
        let service = try ServiceConfiguration.backend()
        let document = main.edit { $0.services = [service] }
        for gateway in gateways {
            gateway.proxy.setEndpoints(service: "backend-pods", [pod])
            gateway.proxy.apply(document)
        }
        let key = try #require(ServicePort("backend/http"))
        let endpoint = Endpoint(address: Loopback.address(), port: 8080)
        let listener = SidecarListener(service: key, endpoint: endpoint)
        let sidecar = try main.sidecar(of: addresses[0], [listener])
        await sidecar.wait("usable") { $0.usable == 1 }
        #expect(await traffic.hold(5, at: endpoint) == ["main": 5])
        let counted = await gateways[0].proxy.wait("counted") {
            $0.target(main)?.connections == 5
        }
        #expect(counted.sidecars.count == 1)
        await gateways[0].proxy.stop()
        await sidecar.wait("alone") { $0.usable == 0 }
        #expect(sidecar.snapshot.backend.map(\.reason) == ["LinkLost"])
        let third = try main.gateway(at: addresses[0], mesh: addresses[1])
        third.proxy.setEndpoints(service: "backend-pods", [pod])
        third.proxy.apply(document)
        await sidecar.wait("attached again", limit: .seconds(20)) { $0.usable == 1 }
        #expect(await traffic.hold(5, at: endpoint) == ["main": 5])
        await sidecar.stop()
        await third.proxy.stop()
        await gateways[1].proxy.stop()
        traffic.stop()
    }

    @Test("servers given by name or address, outside of any cluster")
    func hosts() async throws {
        let site = try TestSite("plain")
        let gateway = try site.gateway()
        let pod = try await traffic.serve("outside", at: Loopback.address())
        var service = try ServiceConfiguration.backend(
            listen: .init(host: "\(gateway.address)", port: 8080)
        )
        service.provider = .hosts(["\(pod.endpoint.address)"])
        service.ports[0].targetPort = pod.endpoint.port
        let first = service
        gateway.proxy.apply(site.edit { $0.services = [first] })
        await gateway.proxy.wait("usable") { $0.usable == 1 }
        let endpoint = Endpoint(address: gateway.address, port: 8080)
        #expect(await traffic.hold(2, at: endpoint) == ["outside": 2])
        let named = try await traffic.serve("named", at: .v4(127 << 24 | 1))
        service.provider = .hosts(["localhost"])
        service.ports[0].targetPort = named.endpoint.port
        let second = service
        gateway.proxy.apply(site.edit { $0.services = [second] })
        let end = ContinuousClock.now + .seconds(10)
        var held: [String: Int] = [:]
        repeat {
            held = await traffic.hold(1, at: endpoint)
        } while held != ["named": 1] && ContinuousClock.now < end
        #expect(held == ["named": 1], "the addresses of the name are used")
        await gateway.proxy.stop()
        traffic.stop()
    }
}

/// Another program's listening socket: its port cannot be shared.
private final class Squatter {
    private var descriptor: Int32

    init(_ address: IPAddress, _ port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var bytes = sockaddr_in()
        bytes.sin_family = sa_family_t(AF_INET)
        bytes.sin_port = port.bigEndian
        bytes.sin_addr.s_addr = unsafe inet_addr("\(address)")
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafePointer(to: &bytes) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketAddress in
                unsafe bind(descriptor, socketAddress, size) == 0
            }
        }
        try #require(isBound && listen(descriptor, 1) == 0)
    }

    deinit { leave() }

    func leave() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }
}
