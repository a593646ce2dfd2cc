import FoundationEssentials
import NetworkModel
import ProxyContract
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

    @Test("nothing of what a Link and a Site may say besides is lost")
    func everything() throws {
        var document = try Self.document()
        var link = document.configuration.links[0]
        link.nextRemoteSite = document.configuration.site.id
        link.serviceCosts = [try #require(ServiceAddress("payments")): try #require(LinkCost(7))]
        let bound = try #require(LinkCost(9))
        link.autoCost = AutoCost.Bounds(least: .standard, most: bound)
        link.token = TokenConfiguration(grant: "g", key: Data([1, 2]))
        link.resumeGrace = .seconds(3)
        document.configuration.links = [link]
        document.configuration.grants = [
            GrantConfiguration(
                name: "g",
                key: Data([3]),
                expires: 5,
                uses: 1,
                revoked: [document.configuration.site.id]
            )
        ]
        document.configuration.memoryBudget = 1 << 28
        #expect(try ConfigurationDocument.decode(document.encoded()) == document)
    }

    @Test("a cost outside of the range is refused with the range in the message")
    func cost() throws {
        let text = String(decoding: try Self.document().encoded(), as: UTF8.self)
            .replacing("\"cost\":20", with: "\"cost\":0")
        #expect { try ConfigurationDocument.decode(Data(text.utf8)) } throws: {
            "\($0)".contains("1...1000000")
        }
    }

    @Test(
        "what a proxy could stumble over is refused, and named",
        arguments: [
            (
                "\"endpoints\":[{\"host\":\"west.example.com\",\"port\":5671}]", "\"endpoints\":[]",
                "no endpoint"
            ),
            ("\"port\":5671", "\"port\":0", "port 0"),
            ("\"host\":\"west.example.com\"", "\"host\":\"\"", "without a host"),
            ("\"heartbeatMilliseconds\":250", "\"heartbeatMilliseconds\":0", "10 ms to 60 s"),
            ("\"heartbeatMilliseconds\":250", "\"heartbeatMilliseconds\":60001", "10 ms to 60 s"),
            ("\"misses\":3", "\"misses\":9223372036854775807", "2 to 100"),
            ("\"misses\":3", "\"misses\":1", "2 to 100"),
            ("\"loops\":0", "\"loops\":65", "0 to 64"),
            ("\"loops\":0", "\"loops\":-1", "0 to 64"),
            ("\"port\":8080", "\"port\":0", "port 0"),
            ("\"targetPort\":80", "\"targetPort\":0", "port 0"),
            ("\"port\":10000", "\"port\":0", "port 0"),
            ("\"port\":10000", "\"host\":\"nowhere\",\"port\":10000", "not an IP address"),
            ("\"connectMilliseconds\":3000", "\"connectMilliseconds\":0", "zero"),
            (
                "\"idleMilliseconds\":3600000", "\"idleMilliseconds\":9223372036854775807",
                "ten years"
            ),
            (
                "\"delayMilliseconds\":5000", "\"delayMilliseconds\":9223372036854775807",
                "ten years"
            ),
            ("\"generation\":3", "\"generation\":18446744073709551615", "beyond"),
        ]
    )
    func stumblingBlocks(_ text: String, _ replacement: String, _ word: String) throws {
        let sound = String(decoding: try Self.document().encoded(), as: UTF8.self)
        let broken = sound.replacing(text, with: replacement)
        #expect(broken != sound)
        #expect { try ConfigurationDocument.decode(Data(broken.utf8)) } throws: {
            "\($0)".contains(word)
        }
    }

    @Test("two links, services, addresses or ports of one name are refused")
    func names() throws {
        var documents = Array(repeating: try Self.document(), count: 4)
        documents[0].configuration.links.append(documents[0].configuration.links[0])
        documents[1].configuration.services.append(documents[1].configuration.services[0])
        documents[2].configuration.services.append(documents[2].configuration.services[0])
        documents[2].configuration.services[1].name = "another"
        let port = documents[3].configuration.services[0].ports[0]
        documents[3].configuration.services[0].ports.append(port)
        for document in documents {
            let bytes = try document.encoded()
            #expect(throws: ConfigurationProblem.self) { try ConfigurationDocument.decode(bytes) }
        }
    }

    @Test("a snapshot's numbers are bounded when read, and never written beyond")
    func snapshot() throws {
        let id = SiteID(publicKeyDigest: Array(repeating: 7, count: 32))
        let service = try #require(ServicePort("backend/http"))
        var snapshot = ProxySnapshot(proxy: ProxyID(site: id, instance: 1))
        snapshot.version = 77
        snapshot.counters = [ServiceCounters(service: service, active: 1, opened: .max)]
        snapshot.refused = [
            RefusedLink(
                site: SiteName(id: id),
                reason: .notAllowed,
                time: Timestamp(seconds: 88),
                attempts: 1
            )
        ]
        var link = LinkSnapshot(
            name: try #require(LinkName("west")),
            reason: .connected,
            message: "",
            cost: .standard
        )
        link.roundTripMicroseconds = 99
        snapshot.links = [link]
        #expect(snapshot.counters[0].opened == .counterLimit)
        let text = String(decoding: try JSONEncoder().encode(snapshot), as: UTF8.self)
        #expect(try JSONDecoder().decode(ProxySnapshot.self, from: Data(text.utf8)) == snapshot)
        for (from, to) in [
            ("\(UInt64.counterLimit)", "\(UInt64.max)"),
            ("\"version\":77", "\"version\":\(UInt64.max)"),
            ("\"time\":88", "\"time\":1e300"), ("\"time\":88", "\"time\":-1"),
            ("\"roundTripMicroseconds\":99", "\"roundTripMicroseconds\":\(UInt64.max)"),
        ] {
            let broken = text.replacing(from, with: to)
            #expect(broken != text)
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(ProxySnapshot.self, from: Data(broken.utf8))
            }
        }
    }
}
