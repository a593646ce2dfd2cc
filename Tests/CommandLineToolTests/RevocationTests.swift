import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import CommandLineTool

@Suite("link revoke")
struct RevocationTests {
    private func siteID(_ letter: Character) throws -> SiteID {
        try #require(SiteID(String(repeating: letter, count: SiteID.length)))
    }

    private func site() throws -> Site {
        var site = Site(metadata: ObjectMeta(name: "east", namespace: "shop"))
        site.spec.allow = [
            NamedSite(siteID: try siteID("A"), name: "west"), NamedSite(siteID: try siteID("B")),
        ]
        return site
    }

    @Test("by name or SiteID it takes out exactly that entry, and names the Links that lead there")
    func entry() throws {
        let link = Link(
            metadata: ObjectMeta(name: "back", namespace: "shop"),
            spec: LinkSpec(endpoints: [], remoteSiteID: try siteID("B"))
        )
        let revocation = try Revocation(of: siteID("B").text, at: site(), links: [link])
        #expect(
            revocation.patch == [
                [
                    "op": "test", "path": "/spec/allow/1/siteID",
                    "value": .string(try siteID("B").text),
                ],
                ["op": "remove", "path": "/spec/allow/1"],
            ]
        )
        #expect(try revocation.text.contains("kubectl delete tlink back -n shop"))
        let byName = try Revocation(of: "west", at: site(), links: [link])
        #expect(byName.entry.siteID == (try siteID("A")))
        #expect(try !byName.text.contains("tlink"))
    }

    @Test("one that is not let in is told, with those that are")
    func unknown() throws {
        let problem = #expect(throws: NotFound.self) {
            try Revocation(of: "north", at: site(), links: [])
        }
        #expect(problem?.description.contains("west") == true)
    }

    @Test("what keeps the Site from Git is named")
    func keeper() throws {
        var site = try site()
        #expect(try Revocation(of: "west", at: site, links: []).keeper == nil)
        site.metadata.labels["kustomize.toolkit.fluxcd.io/name"] = "sites"
        #expect(try Revocation(of: "west", at: site, links: []).text.contains("Flux"))
    }
}
