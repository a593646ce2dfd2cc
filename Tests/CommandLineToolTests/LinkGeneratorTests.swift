import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import CommandLineTool

@Suite("link generate")
struct LinkGeneratorTests {
    private func site() -> Site { Site(metadata: ObjectMeta(name: "east", namespace: "shop")) }

    @Test("a Site that is reachable gives a Link with its endpoints and its pinned identity")
    func link() throws {
        var site = site()
        site.spec.linkAccess = LinkAccess(type: .loadBalancer)
        site.status.siteID = try siteID()
        site.status.endpoints = [LinkEndpoint(host: "192.0.2.1", port: 5671)]
        let link = try LinkGenerator.link(to: site, name: nil, cost: LinkCost(20))
        #expect(link.metadata == ObjectMeta(name: "east"))
        #expect(link.spec.remoteSiteID == site.status.siteID)
        #expect(link.spec.endpoints == site.status.endpoints)
        #expect(link.spec.cost == LinkCost(20))
    }

    @Test("without an identity, link access or an address it says what to do")
    func problems() throws {
        var site = site()
        #expect(problem(site)?.contains("controller") == true)
        site.status.siteID = try siteID()
        #expect(problem(site)?.contains("linkAccess") == true)
        site.spec.linkAccess = LinkAccess(type: .clusterIP)
        #expect(problem(site)?.contains("Reachable") == true)
    }

    private func problem(_ site: Site) -> String? {
        do {
            _ = try LinkGenerator.link(to: site, name: nil, cost: nil)
            return nil
        } catch {
            return error.description
        }
    }
}
