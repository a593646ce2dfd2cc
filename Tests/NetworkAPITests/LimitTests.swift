import KubernetesAPI
import NetworkModel
import ProxyContract
import Testing

@testable import NetworkAPI

@Suite("Limits are told with their remedy")
struct LimitTests {
    private func link(_ name: String, to letter: Character, age: Int64 = 0) throws -> Link {
        Link(
            metadata: meta(name, age: age),
            spec: LinkSpec(
                endpoints: [LinkEndpoint(host: "far.example.com", port: 5671)],
                remoteSiteID: try siteID(letter)
            )
        )
    }

    @Test("K18: eight Links lead to one site; the younger ones say which are there and what to do")
    func parallel() throws {
        var links = try (1...10).map { try link("l\($0)", to: "W", age: Int64(100 - $0)) }
        links.append(try link("other", to: "X"))
        let result = try compiled(links: links.reversed())
        #expect(
            result.configuration.links.map(\.name.text)
                == ["l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "other"]
        )
        #expect(result.findings.map(\.object.name) == ["l9", "l10"])
        let finding = try #require(result.findings.first)
        #expect(finding.reason == .conflict && finding.condition == .accepted)
        #expect(finding.message.contains("l1, l2, l3"))
        #expect(finding.message.contains("spec.endpoints takes 16"))
    }

    @Test("K18: a label of 64 letters is refused with the 63 that it may have")
    func labels() throws {
        let long = String(repeating: "a", count: 64)
        var host = try link("west", to: "W")
        host.spec.endpoints = [LinkEndpoint(host: "\(long).example.com", port: 5671)]
        var site = Site(metadata: meta("east"))
        site.spec.allow = [NamedSite(siteID: try siteID("B"), name: long)]
        let result = try compiled(site: site, links: [host, try link(long, to: "X")])
        #expect(result.findings.count == 3)
        for finding in result.findings {
            #expect(finding.message.contains("63"), "\(finding.field): \(finding.message)")
        }
    }
}
