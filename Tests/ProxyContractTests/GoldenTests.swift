import Foundation
import NetworkModel
import ProxyContract
import TestSupport
import Testing

/// What one version writes and another one reads: the configuration in its Secret and in the files that proxies keep for a
/// restart, and what gateways tell the controller.
@Suite("Documents of earlier versions")
struct GoldenTests {
    // MARK: The configuration

    /// With every field of this version.
    private func configuration() throws -> ConfigurationDocument {
        var document = try CodingTests.document()
        document.configuration.ownAddresses = AddressList(["10.96.0.7"])
        document.configuration.links[0].nextRemoteSite = SiteID(
            publicKeyDigest: Array(repeating: 11, count: 32)
        )
        document.configuration.links[0].resumeGrace = .seconds(30)
        document.configuration.links[0].serviceCosts = try serviceCosts()
        document.configuration.links[0].autoCost = AutoCost.Bounds(
            least: .standard,
            most: try #require(LinkCost(500))
        )
        document.configuration.memoryBudget = 64 << 20
        document.configuration.services[0].ports[0].listen?.host = "::"
        document.configuration.services.append(
            ServiceConfiguration(
                name: "legacy",
                address: try #require(ServiceAddress("legacy.example")),
                ports: [],
                provider: .hosts(["192.0.2.1"]),
                proxyProtocol: true,
                balancing: BalancingPolicy(
                    weightBy: .site,
                    weights: [site(1): 3, site(2): 0],
                    costs: [site(2): PathCost(50)],
                    tiers: [[site(1)], [site(2), site(3)]],
                    minReadyEndpoints: 2,
                    slowStart: .seconds(30),
                    sites: [site(1), site(2)],
                    loadFrom: .allSites
                ),
                allowedSites: [site(3)],
                earlyData: true
            )
        )
        return document
    }

    @Test("the configuration is written as it was, and read with fields that nobody knows")
    func wholeConfiguration() throws {
        let golden = try Golden.data("configuration.json")
        let document = try configuration()
        let text = try document.encoded().text
        #expect(text == golden.text)
        #expect(try ConfigurationDocument.decode(golden) == document)
        #expect(try ConfigurationDocument.decode(try Golden.extended(golden)) == document)
    }

    @Test("a configuration of an earlier version, which had fewer fields, is read")
    func firstConfiguration() throws {
        let document = try ConfigurationDocument.decode(Golden.data("configuration-1.json"))
        #expect(document == (try CodingTests.document()))
    }

    @Test("a configuration whose own addresses were a list of texts is read without them")
    func secondConfiguration() throws {
        var expected = try thirdConfiguration()
        expected.configuration.ownAddresses = nil
        let document = try ConfigurationDocument.decode(Golden.data("configuration-2.json"))
        #expect(document == expected)
    }

    @Test("a configuration without grace, budget and PROXY protocol is read with none of them")
    func readsThirdConfiguration() throws {
        let document = try ConfigurationDocument.decode(Golden.data("configuration-3.json"))
        #expect(document == (try thirdConfiguration()))
    }

    @Test("a configuration without policies is read with none of them")
    func readsFourthConfiguration() throws {
        let document = try ConfigurationDocument.decode(Golden.data("configuration-4.json"))
        #expect(document == (try fourthConfiguration()))
    }

    @Test(
        "a configuration without costs of single services, loads, measured costs and early bytes is read with none of them"
    )
    func readsFifthConfiguration() throws {
        let document = try ConfigurationDocument.decode(Golden.data("configuration-5.json"))
        #expect(document == (try fifthConfiguration()))
    }

    private func serviceCosts() throws -> [ServiceAddress: LinkCost] {
        let (backend, payments) = (ServiceAddress("backend"), ServiceAddress("payments"))
        return [
            try #require(payments): try #require(LinkCost(9999)), try #require(backend): .standard,
        ]
    }

    private func fifthConfiguration() throws -> ConfigurationDocument {
        var fifth = try configuration()
        fifth.configuration.links[0].serviceCosts = [:]
        fifth.configuration.links[0].autoCost = nil
        fifth.configuration.services[1].balancing?.loadFrom = .thisSite
        fifth.configuration.services[1].earlyData = nil
        return fifth
    }

    private func fourthConfiguration() throws -> ConfigurationDocument {
        var fourth = try fifthConfiguration()
        fourth.configuration.services[1].balancing = nil
        fourth.configuration.services[1].allowedSites = nil
        return fourth
    }

    private func thirdConfiguration() throws -> ConfigurationDocument {
        var third = try fourthConfiguration()
        third.configuration.memoryBudget = nil
        third.configuration.links[0].resumeGrace = nil
        third.configuration.services[1].proxyProtocol = nil
        return third
    }

    @Test("a configuration in parts is written as it was, and read with fields that nobody knows")
    func parts() throws {
        let services = try configuration().configuration.services
        let lines = try services.map(ConfigurationPart.line).reduce(Data(), +)
        let golden = try Golden.data("services.jsonl")
        #expect(lines.text == golden.text)
        let part = try ConfigurationPart(golden)
        #expect(part.services == services)
        var head = try configuration().head
        head.configuration.services = []
        head.parts = [part.digest]
        let goldenHead = try Golden.data("configuration-in-parts.json")
        let headText = try head.encoded().text
        #expect(headText == goldenHead.text)
        #expect(try ConfigurationHead.decode(Golden.extended(goldenHead)) == head)
        var extended = Data()
        for line in golden.split(separator: UInt8(ascii: "\n")) {
            extended += try Golden.extended(line) + [UInt8(ascii: "\n")]
        }
        #expect(try ConfigurationPart(extended).services == services)
    }

    // MARK: Snapshots

    /// With every field of this version.
    private func snapshot() throws -> ProxySnapshot {
        let site = SiteName(
            id: SiteID(publicKeyDigest: Array(repeating: 7, count: 32)),
            name: "east"
        )
        let other = SiteName(id: SiteID(publicKeyDigest: Array(repeating: 9, count: 32)))
        let port = try #require(ServicePort("backend/http"))
        var snapshot = ProxySnapshot(proxy: ProxyID(site: site.id, instance: 1))
        snapshot.version = 77
        snapshot.appliedGeneration = 3
        snapshot.appliedCount = 2
        snapshot.configurationError = "no"
        snapshot.refusedAdvertisements = 4
        snapshot.linkPortError = "port 5671: in use"
        snapshot.shortages = ["descriptors"]
        var link = LinkSnapshot(
            name: try #require(LinkName("west")),
            reason: .connected,
            message: "",
            cost: try #require(LinkCost(20))
        )
        link.remote = other
        link.serviceCosts = try serviceCosts()
        (link.active, link.opened, link.losses, link.lanesDialed) = (1, 2, 3, 4)
        link.roundTripMicroseconds = 99
        link.lastLoss = LinkLoss(
            time: Timestamp(seconds: 1_795_800_000),
            reason: "silent",
            connections: 5
        )
        snapshot.links = [link]
        snapshot.refused = [
            RefusedLink(
                site: other,
                reason: .notAllowed,
                time: Timestamp(seconds: 1_795_800_001),
                attempts: 6
            )
        ]
        var service = ServiceSnapshot(
            service: port,
            listening: true,
            targets: [
                .init(
                    site: other,
                    pathCost: PathCost(20),
                    endpoints: 2,
                    connections: 7,
                    state: .ejected,
                    reason: "ConnectRefused",
                    via: "link/west"
                )
            ]
        )
        service.listenError = "in use"
        service.hostProblems = [
            HostProblem("db", .unresolved, "no address", since: Timestamp(seconds: 1_795_800_002))
        ]
        snapshot.services = [service]
        var counters = ServiceCounters(
            service: port,
            active: 1,
            opened: 2,
            failed: 3,
            interrupted: 4
        )
        counters.refused = 5
        snapshot.counters = [counters]
        let failover = FailoverSnapshot(
            sequence: 1,
            service: port,
            from: site,
            to: other,
            reason: "LinkLost",
            time: Timestamp(seconds: 1_795_800_003),
            lost: 1,
            resumed: 2,
            durationMilliseconds: 3
        )
        snapshot.failovers = [failover]
        snapshot.sidecars = [
            SidecarSnapshot(
                proxy: ProxyID(site: site.id, instance: 2),
                appliedGeneration: 3,
                counters: [counters],
                failovers: [failover]
            )
        ]
        return snapshot
    }

    private func written(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value).text
    }

    @Test("a snapshot is written as it was, and read with fields that nobody knows")
    func wholeSnapshot() throws {
        let golden = try Golden.data("snapshot.json")
        let snapshot = try snapshot()
        let text = try written(snapshot)
        #expect(text == golden.text)
        for document in [golden, try Golden.extended(golden)] {
            #expect(try JSONDecoder().decode(ProxySnapshot.self, from: document) == snapshot)
            #expect(
                try JSONDecoder().decode(SnapshotUpdate.self, from: document).snapshot == snapshot
            )
        }
    }

    @Test("a difference of snapshots is written as it was, and read with fields that nobody knows")
    func difference() throws {
        var update = SnapshotUpdate(try snapshot())
        update.base = 76
        update.removedServices = [try #require(ServicePort("gone/http"))]
        update.removedCounters = update.removedServices
        update.unchanged = [.failovers]
        update.snapshot.failovers = []
        let golden = try Golden.data("snapshot-update.json")
        let text = try written(update)
        #expect(text == golden.text)
        let decoder = JSONDecoder()
        #expect(try decoder.decode(SnapshotUpdate.self, from: Golden.extended(golden)) == update)
    }

    @Test("a snapshot of an earlier version, which had fewer fields, is read")
    func firstSnapshot() throws {
        let snapshot = try JSONDecoder().decode(
            ProxySnapshot.self,
            from: Golden.data("snapshot-1.json")
        )
        #expect(snapshot.shortages == nil)
        #expect(snapshot.counters.first?.refused == 0)
        #expect(snapshot.services.first?.hostProblems == nil)
    }

    @Test("a snapshot without costs of single services is read with none of them")
    func secondSnapshot() throws {
        var expected = try snapshot()
        expected.links[0].serviceCosts = [:]
        let golden = try Golden.data("snapshot-2.json")
        #expect(try JSONDecoder().decode(ProxySnapshot.self, from: golden) == expected)
    }

    @Test("words of a later version cost the reader nothing but those words")
    func laterWords() throws {
        let text = try Golden.data("snapshot.json").text
            .replacing("\"reason\":\"Connected\"", with: "\"reason\":\"Eclipsed\"")
            .replacing("\"state\":\"Ejected\"", with: "\"state\":\"Resting\"")
            .replacing("\"reason\":\"HostUnresolved\"", with: "\"reason\":\"HostShy\"")
        let snapshot = try JSONDecoder().decode(ProxySnapshot.self, from: Data(text.utf8))
        #expect(snapshot.links[0].reason == .unreachable)
        #expect(snapshot.services[0].targets[0].state == .unreachable)
        #expect(snapshot.services[0].hostProblems?[0].reason == .refused)
        let update = try Golden.data("snapshot-update.json").text
            .replacing("\"unchanged\":[", with: "\"unchanged\":[\"moods\",")
        #expect(
            try JSONDecoder().decode(SnapshotUpdate.self, from: Data(update.utf8)).unchanged
                == [.failovers]
        )
    }
}

extension Data {
    /// Without the line break at the end of a file.
    fileprivate var text: String {
        String(decoding: self, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}
