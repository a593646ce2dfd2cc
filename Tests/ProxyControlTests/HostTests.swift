import NetworkModel
import ProxyContract
import SiteControl
import TestSupport
import Testing

@testable import Proxy

/// Servers outside of any cluster, on real proxies.
@Suite("Hosts", .timeLimit(.minutes(1)))
struct HostTests {
    private let traffic: TestTraffic

    init() throws { traffic = try TestTraffic() }

    /// A service whose hosts are these, at one port.
    private func backend(_ hosts: [IPAddress], _ port: UInt16, at gateway: Gateway) throws
        -> ServiceConfiguration
    {
        var service = try ServiceConfiguration.backend(
            listen: .init(host: "\(gateway.address)", port: 8080)
        )
        service.provider = .hosts(hosts.map { "\($0)" })
        service.ports[0].targetPort = port
        return service
    }

    @Test(
        "B2: hosts that refuse are counted nowhere: 25 and 15 at cost 10, with one of three alive"
    )
    func deadHosts() async throws {
        let near = try TestSite("near")
        let far = try await Place(
            TestSite("far", allow: [near.id]),
            servers: 1,
            traffic: traffic
        )
        let gateway = try near.gateway()
        let live = try await traffic.serve("near", at: Loopback.address())
        let service = try backend(
            [Loopback.address(), live.endpoint.address, Loopback.address()],
            live.endpoint.port,
            at: gateway
        )
        let link = try LinkConfiguration(
            patient: "far",
            to: far.site.id,
            at: far.gateway.linkEndpoint,
            cost: 10
        )
        gateway.proxy.apply(
            near.edit {
                $0.services = [service]
                $0.links = [link]
            }
        )
        await gateway.proxy.wait("one endpoint") { snapshot in
            snapshot.usable == 2 && snapshot.target(near)?.endpoints == 1
        }
        let endpoint = Endpoint(address: gateway.address, port: 8080)
        #expect(await traffic.hold(40, at: endpoint) == ["near": 25, "far": 15])
        // The last one goes: the site says so without a client, and is used again when it is back.
        await traffic.kill("near")
        #expect(await traffic.hold(3, at: endpoint) == ["far": 3])
        await gateway.proxy.wait("in doubt") { $0.target(near)?.endpoints == 0 }
        _ = try await traffic.serve(
            "back",
            at: live.endpoint.address,
            port: live.endpoint.port
        )
        await gateway.proxy.wait("probed") { snapshot in
            snapshot.target(near)?.endpoints == 1 && snapshot.target(near)?.state == .usable
        }
        await gateway.proxy.stop()
        await far.proxy.stop()
        traffic.stop()
    }

    @Test("K8: a host that is this proxy's own listener is refused, named, and given to nobody")
    func ownListener() async throws {
        let site = try TestSite("loop")
        let gateway = try site.gateway()
        let service = try backend([gateway.address], 8080, at: gateway)
        gateway.proxy.apply(site.edit { $0.services = [service] })
        let snapshot = await gateway.proxy.wait("refused") { snapshot in
            snapshot.services.contains { $0.hostProblems?.isEmpty == false }
        }
        let problem = try #require(snapshot.services.first?.hostProblems?.first)
        #expect(problem.reason == .refused && problem.host == "\(gateway.address)")
        #expect(problem.message.contains("targetPort"))
        #expect(snapshot.target(site)?.endpoints == 0)
        await gateway.proxy.stop()
        traffic.stop()
    }

    @Test("P11: a name that does not resolve is told, with the time since when")
    func unresolved() async throws {
        let site = try TestSite("plain")
        let gateway = try site.gateway()
        var service = try backend([], 80, at: gateway)
        service.provider = .hosts(["no-such-name.invalid"])
        let named = service
        gateway.proxy.apply(site.edit { $0.services = [named] })
        let snapshot = await gateway.proxy.wait("told", limit: .seconds(30)) { snapshot in
            snapshot.services.contains { $0.hostProblems?.isEmpty == false }
        }
        let problem = try #require(snapshot.services.first?.hostProblems?.first)
        #expect(problem.reason == .unresolved && problem.host == "no-such-name.invalid")
        #expect(problem.since > Timestamp(seconds: 1_500_000_000))
        await gateway.proxy.stop()
        traffic.stop()
    }
}
