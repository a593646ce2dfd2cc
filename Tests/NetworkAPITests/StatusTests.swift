import Foundation
import KubernetesAPI
import NetworkModel
import Testing

@testable import NetworkAPI

/// What stands in a status keeps no spec from being read.
@Suite("Statuses as others leave them")
struct StatusTests {
    private func read<Object: Decodable>(_: Object.Type, _ spec: String, _ status: String) throws
        -> Object
    {
        let text = """
            {"metadata": {"name": "a", "namespace": "n", "generation": 2}, "spec": \(spec), "status": \(status)}
            """
        return try JSONDecoder().decode(Object.self, from: Data(text.utf8))
    }

    @Test("K7: fields of a status that do not decode are absent, the others and the spec are read")
    func fields() throws {
        let site = try read(
            Site.self,
            #"{"proxy": {"replicas": 3}}"#,
            #"{"siteID": "abc", "observedGeneration": 2, "proxies": {"desired": "many"}}"#
        )
        #expect(site.spec.proxy?.replicas == 3)
        #expect(site.status.siteID == nil)
        #expect(site.status.proxies == nil)
        #expect(site.status.observedGeneration == 2)
        let service = try read(
            Service.self,
            #"{"ports": [{"name": "tcp", "port": 80}]}"#,
            #"{"cursors": 5, "connections": {"active": 1, "opened": 7, "failed": 0}}"#
        )
        #expect(service.spec.ports.count == 1)
        #expect(service.status.connections?.opened == 7)
    }

    @Test(
        "K7: a status that is no status at all is an empty one",
        arguments: ["[]", "\"x\"", "7", "null"]
    )
    func whole(status: String) throws {
        let id = String(repeating: "A", count: SiteID.length)
        let link = try read(
            Link.self,
            #"{"endpoints": [{"host": "h", "port": 5671}], "remoteSiteID": "\#(id)", "cost": 4}"#,
            status
        )
        #expect(link.spec.cost == LinkCost(4))
        #expect(link.status == LinkStatus())
    }
}
