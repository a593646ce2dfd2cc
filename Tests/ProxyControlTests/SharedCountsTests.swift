import NetworkModel
import ProxyContract
import SiteControl
import TestSupport
import Testing

@testable import Proxy

/// What the proxies of a site tell each other of their open connections, over real lanes.
@Suite("Shared counts", .timeLimit(.minutes(1)), .serialized)
struct SharedCountsTests {
    private let traffic: TestTraffic
    private let site: TestSite
    private let first: Gateway
    private let second: Gateway

    init() throws {
        traffic = try TestTraffic()
        site = try TestSite("west", acceptsLinks: false)
        let addresses = (Loopback.address(), Loopback.address())
        first = try site.gateway(at: addresses.0, mesh: addresses.1)
        second = try site.gateway(at: addresses.1, mesh: addresses.0)
    }

    private func configure(_ gateway: Gateway, _ pod: LocalEndpoint, listens: Bool) throws {
        let listen: ServicePortConfiguration.Listen? =
            listens ? .init(host: "\(gateway.address)", port: 8080) : nil
        let service = try ServiceConfiguration.backend(listen: listen)
        gateway.proxy.setEndpoints(service: "backend-pods", [pod])
        gateway.proxy.apply(site.edit { $0.services = [service] })
    }

    private func stop() async {
        await first.proxy.stop()
        await second.proxy.stop()
        traffic.stop()
    }

    @Test("a gateway that hears of counts before it knows the service uses them")
    func lateService() async throws {
        let pod = try await traffic.serve("pod", at: Loopback.address())
        try configure(first, pod, listens: true)
        await first.proxy.wait("usable") { $0.usable == 1 }
        let listen = Endpoint(address: first.address, port: 8080)
        #expect(await traffic.hold(3, at: listen) == ["pod": 3])
        // Ample for the counts to arrive; nothing shows them yet.
        try await ContinuousClock().sleep(for: .seconds(2))
        try configure(second, pod, listens: false)
        await second.proxy.wait("three connections") { $0.target(site)?.connections == 3 }
        await stop()
    }

    @Test("a sidecar's counts reach the other gateway, and go with the sidecar")
    func sidecarLeaves() async throws {
        let pod = try await traffic.serve("pod", at: Loopback.address())
        try configure(first, pod, listens: false)
        try configure(second, pod, listens: false)
        let listen = Endpoint(address: Loopback.address(), port: 8080)
        let service = try #require(ServicePort("backend/http"))
        let listener = SidecarListener(service: service, endpoint: listen)
        for round in 1...2 {
            let sidecar = try site.sidecar(of: first.address, [listener])
            await sidecar.wait("usable") { $0.usable == 1 }
            #expect(await traffic.hold(3, at: listen) == ["pod": 3])
            for gateway in [first, second] {
                await gateway.proxy.wait("three connections, round \(round)") {
                    $0.target(site)?.connections == 3
                }
            }
            await sidecar.stop()
            for gateway in [first, second] {
                await gateway.proxy.wait("none, round \(round)") {
                    $0.target(site)?.connections == 0
                }
            }
        }
        await stop()
    }
}
