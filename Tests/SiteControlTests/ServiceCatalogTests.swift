import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import SiteControl

@Suite("Services of a gateway")
struct ServiceCatalogTests {
    private let options = ControlOptions(
        own: ProxyID(site: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)), instance: 1),
        bind: .v4(10 << 24 | 1)
    )

    private func service(
        _ index: Int,
        host: String,
        listens: Bool = true
    ) throws -> ServiceConfiguration {
        let port = try #require(PortName("tcp"))
        let place = ServicePortConfiguration.Listen(port: UInt16(20_000 + index))
        return ServiceConfiguration(
            name: "s\(index)",
            address: try #require(ServiceAddress("s\(index)")),
            ports: [
                ServicePortConfiguration(
                    name: port,
                    port: 80,
                    targetPort: 8080,
                    listen: listens ? place : nil
                )
            ],
            provider: .hosts([host])
        )
    }

    private func addresses(_ range: Range<UInt32>) -> Set<IPAddress> {
        Set(range.map { .v4(11 << 24 | $0) })
    }

    @Test(
        "K1: an edit of one of 1,000 services compares what it touches, addresses of the site included"
    )
    func edit() throws {
        var catalog = ServiceCatalog(options)
        var turn = Turn(now: Instant(nanoseconds: 1), wall: Timestamp(seconds: 1))
        var own = OwnAddresses()
        own.services = addresses(0..<1_000)
        own.gateways = addresses(2_000..<2_002)
        let first = try (0..<1_000).map { try service($0, host: "server-\($0)") }
        func configure(_ old: [ServiceConfiguration], _ new: [ServiceConfiguration]) {
            // As each configuration does: the gateways are asked for anew.
            own.gateways = addresses(2_000..<2_002)
            _ = catalog.configure(
                ServiceDifference(from: old, to: new),
                own: own.all,
                local: [.v4(1)],
                &turn
            )
        }
        configure([], first)
        #expect(catalog.watched.count == 1_000 && catalog.rules.own.count == 1_002)
        var second = first
        second[7].timeouts.idle = .seconds(3)
        configure(first, second)
        #expect(catalog.compared == 2, "its listener and its host name")
        own.services.insert(.v4(12 << 24))
        configure(second, second)
        #expect(catalog.compared == 1_003 && catalog.rules.own.contains(.v4(12 << 24)))
    }

    @Test("a catalog that followed changes is one that was made at once", arguments: Seeds.some(8))
    func follows(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var catalog = ServiceCatalog(options)
        var turn = Turn(now: Instant(nanoseconds: 1), wall: Timestamp(seconds: 1))
        let hosts = ["db", "web", "11.0.0.1", "11.0.0.2"]
        var services: [Int: ServiceConfiguration] = [:]
        for _ in 0..<200 {
            let before = services.values.sorted { $0.name < $1.name }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let index = Int.random(in: 0..<12, using: &random)
                let host = try #require(hosts.randomElement(using: &random))
                services[index] =
                    Bool.random(using: &random)
                    ? nil : try service(index, host: host, listens: .random(using: &random))
            }
            let after = services.values.sorted { $0.name < $1.name }
            let own = addresses(0..<UInt32.random(in: 0..<3, using: &random))
            let local = addresses(1..<UInt32.random(in: 1..<3, using: &random))
            _ = catalog.configure(
                ServiceDifference(from: before, to: after),
                own: own,
                local: local,
                &turn
            )
            var whole = ServiceCatalog(options)
            _ = whole.configure(
                ServiceDifference(from: [], to: after),
                own: own,
                local: local,
                &turn
            )
            #expect(catalog.rules == whole.rules)
            #expect(catalog.watched == whole.watched)
        }
    }
}
