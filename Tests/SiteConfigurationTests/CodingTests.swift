import FoundationEssentials
import NetworkModel
import SiteConfiguration
import Testing

@Suite("Configuration coding")
struct CodingTests {
    static func document() throws -> ConfigurationDocument {
        let id = SiteID(publicKeyDigest: Array(repeating: 7, count: 32))
        let other = SiteID(publicKeyDigest: Array(repeating: 9, count: 32))
        let link = LinkConfiguration(
            name: try #require(LinkName("west")),
            endpoints: [HostAndPort(host: "west.example.com", port: 5671)],
            remoteSite: other,
            cost: try #require(LinkCost(20)),
            health: .standard
        )
        let service = ServiceConfiguration(
            name: "backend",
            address: try #require(ServiceAddress("backend")),
            ports: [
                ServicePortConfiguration(
                    name: try #require(PortName("http")),
                    port: 8080,
                    targetPort: 80,
                    listen: .init(port: 10000)
                )
            ],
            provider: .endpointSlices(service: "backend-tl-0a1b2c3d")
        )
        return ConfigurationDocument(
            generation: 3,
            snapshotKey: "k",
            configuration: SiteConfiguration(
                site: SiteName(id: id, name: "east"),
                allow: [SiteName(id: other, name: "west")],
                acceptsLinks: true,
                links: [link],
                services: [service]
            )
        )
    }

    @Test("a document is what it encodes, and equal documents are equal bytes")
    func roundTrip() throws {
        let document = try Self.document()
        let bytes = try document.encoded()
        #expect(try ConfigurationDocument.decode(bytes) == document)
        #expect(try Self.document().encoded() == bytes)
    }

    @Test("a cost outside of the range is refused with the range in the message")
    func cost() throws {
        let text = String(decoding: try Self.document().encoded(), as: UTF8.self)
            .replacing("\"cost\":20", with: "\"cost\":0")
        #expect { try ConfigurationDocument.decode(Data(text.utf8)) } throws: {
            "\($0)".contains("1...1000000")
        }
    }
}
