import NetworkModel
import ProxyContract
import SiteControl
import TestSupport
import Testing

@testable import Proxy

/// A site with one gateway and servers of its own, for tests with traffic.
struct Place {
    let site: TestSite
    let gateway: Gateway
    /// Its servers, as ready pods.
    let pods: [LocalEndpoint]

    /// Where the gateway listens for clients of backend/http, if it does.
    var listen: Endpoint { Endpoint(address: gateway.address, port: 8080) }
    var proxy: Proxy { gateway.proxy }

    /// Starts `servers` servers, the first named like the site, and tells the gateway of them.
    init(
        _ site: TestSite,
        servers: Int,
        traffic: TestTraffic,
        listens: Bool = false,
        loops: Int = 1,
        record: String? = nil
    ) async throws {
        self.site = site
        gateway = try site.gateway(loops: loops, record: record)
        var pods: [LocalEndpoint] = []
        for index in 0..<servers {
            let name = index == 0 ? site.name : "\(site.name)-\(index)"
            pods.append(try await traffic.serve(name, at: Loopback.address()))
        }
        self.pods = pods
        let service = try ServiceConfiguration.backend(
            provides: servers > 0,
            listen: listens ? .init(host: "\(gateway.address)", port: 8080) : nil
        )
        gateway.proxy.setEndpoints(service: "backend-pods", pods)
        gateway.proxy.apply(site.edit { $0.services = [service] })
    }

    func link(to other: Place, cost: Int32) throws {
        let link = try LinkConfiguration(
            other.site.name,
            to: other.site.id,
            at: other.gateway.linkEndpoint,
            cost: cost
        )
        proxy.apply(site.edit { $0.links.append(link) })
    }

    @discardableResult
    func waitForTargets(_ count: Int) async -> ProxySnapshot {
        await proxy.wait("\(count) usable targets") { $0.usable == count }
    }
}

extension ProxySnapshot {
    var usable: Int { backend.count { $0.state == .usable } }
}

extension TestTraffic {
    /// Opens `count` connections one by one and holds them; how many each server name got.
    func hold(_ count: Int, at endpoint: Endpoint) async -> [String: Int] {
        var held: [String: Int] = [:]
        for _ in 0..<count { held[await connect(to: endpoint)?.name ?? "none", default: 0] += 1 }
        return held
    }
}
