import Certificates
import NetworkModel
import ProxyContract
import SiteControl
import TestSupport
import Testing

@testable import Proxy

@Suite("Within a site", .timeLimit(.minutes(2)))
struct InsideTests {
    @Test("sibling gateways mesh, and each reaches what the other is linked to", arguments: [1, 2])
    func mesh(loops: Int) async throws {
        let west = try TestSite("west", acceptsLinks: false)
        let east = try TestSite("east", allow: [west.id])
        let eastGateway = try east.gateway()
        eastGateway.proxy.setEndpoints(service: "backend-pods", pods(1))
        let service = try ServiceConfiguration.backend()
        eastGateway.proxy.apply(east.edit { $0.services = [service] })
        let addresses = (Loopback.address(), Loopback.address())
        let first = try west.gateway(at: addresses.0, mesh: addresses.1, loops: loops)
        let second = try west.gateway(at: addresses.1, mesh: addresses.0, loops: loops)
        let consumer = try ServiceConfiguration.backend(provides: false)
        // Only the first one knows the Link: the second goes through it.
        let link = try LinkConfiguration(
            patient: "east",
            to: east.id,
            at: eastGateway.linkEndpoint,
            cost: 4
        )
        second.proxy.apply(west.edit { $0.services = [consumer] })
        first.proxy.apply(west.edit { $0.links = [link] })
        let snapshot = await second.proxy.wait("east is usable") {
            $0.target(east)?.state == .usable
        }
        #expect(snapshot.target(east)?.pathCost == PathCost(4))
        await first.proxy.stop()
        await second.proxy.wait("east is gone") { $0.target(east)?.state != .usable }
        await second.proxy.stop()
        await eastGateway.proxy.stop()
    }

    /// A sidecar is told of what it listens for.
    private func listener() throws -> SidecarListener {
        SidecarListener(
            service: try #require(ServicePort("backend/http")),
            endpoint: Endpoint(address: Loopback.address(), port: 8080)
        )
    }

    @Test("a sidecar attaches, learns targets and costs, and acknowledges every configuration")
    func sidecar() async throws {
        let site = try TestSite("west", acceptsLinks: false)
        let gateway = try site.gateway()
        gateway.proxy.setEndpoints(service: "backend-pods", pods(3))
        let service = try ServiceConfiguration.backend()
        gateway.proxy.apply(site.edit { $0.services = [service] })
        let sidecar = try site.sidecar(of: gateway.address, [listener()])
        let learned = await sidecar.wait("the local target") { $0.target(site)?.state == .usable }
        #expect(learned.target(site)?.pathCost == .zero)
        #expect(learned.target(site)?.endpoints == 3)
        #expect(sidecar.isReady)
        await gateway.proxy.wait("acknowledged") { $0.sidecars.first?.appliedGeneration == 1 }
        #expect(gateway.proxy.snapshot.sidecars.first?.proxy == sidecar.id)
        // A change that concerns no target is acknowledged too.
        gateway.proxy.apply(site.edit { $0.drain = .standard })
        await gateway.proxy.wait("acknowledged again") { $0.sidecars.first?.appliedGeneration == 2 }
        gateway.proxy.setEndpoints(service: "backend-pods", pods(1))
        await sidecar.wait("fewer servers") { $0.target(site)?.endpoints == 1 }
        await sidecar.stop()
        await gateway.proxy.wait("detached") { $0.sidecars.isEmpty }
        await gateway.proxy.stop()
    }

    @Test("a sidecar survives its gateway and attaches to the next one at that address")
    func sidecarReattaches() async throws {
        let site = try TestSite("west", acceptsLinks: false)
        let address = Loopback.address()
        let service = try ServiceConfiguration.backend()
        let document = site.edit { $0.services = [service] }
        let first = try site.gateway(at: address)
        first.proxy.setEndpoints(service: "backend-pods", pods(1))
        first.proxy.apply(document)
        let sidecar = try site.sidecar(of: address, [listener()])
        await sidecar.wait("attached") { $0.target(site)?.state == .usable }
        await first.proxy.stop()
        await sidecar.wait("alone") { $0.target(site)?.state != .usable }
        let second = try site.gateway(at: address)
        second.proxy.setEndpoints(service: "backend-pods", pods(1))
        second.proxy.apply(document)
        await sidecar.wait("attached again", limit: .seconds(15)) {
            $0.target(site)?.state == .usable
        }
        await sidecar.stop()
        await second.proxy.stop()
    }

    @Test("a sidecar whose workload has ended does not wait for new connections")
    func afterWorkload() async throws {
        let site = try TestSite("west", acceptsLinks: false)
        let gateway = try site.gateway()
        let sidecar = try site.sidecar(of: gateway.address, endsLast: true)
        await gateway.proxy.wait("attached") { !$0.sidecars.isEmpty }
        let began = ContinuousClock.now
        await sidecar.drain()
        // Beside its workload it would go on for 5 s.
        #expect(ContinuousClock.now - began < .seconds(4))
        await gateway.proxy.stop()
    }

    @Test("credentials of another site, or of the wrong role, are refused")
    func credentials() throws {
        let (site, other) = (try TestSite("west"), try TestSite("east"))
        let gateway = try Proxy(
            options: ProxyOptions(role: .gateway(mesh: nil)),
            credentials: site.credentials()
        )
        #expect(throws: ProxyError.self) { try gateway.setCredentials(other.credentials()) }
        #expect(throws: ProxyError.self) {
            try Proxy(
                options: ProxyOptions(role: .gateway(mesh: nil)),
                credentials: site.credentials(.sidecar)
            )
        }
    }
}
