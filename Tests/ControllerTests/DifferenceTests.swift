import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import Testing

@testable import Controller

@Suite("What has to be looked at again")
struct DifferenceTests {
    /// The record after a compilation of those services, in the order of their generations in `services`.
    private func record(
        _ services: [Service],
        generation: UInt64,
        after old: SiteRecord? = nil
    ) throws -> SiteRecord {
        let site = Samples.site()
        var record = old ?? SiteRecord(site: site)
        record.siteID = try Samples.siteID("A")
        try record.take(generation, links: [], services: services)
        return record
    }

    private func services(_ count: Int) throws -> [Service] {
        try (0..<count).map { index in
            var service = try Samples.service()
            service.metadata = Samples.metadata("s\(index)")
            return service
        }
    }

    private func objects(_ names: String...) -> RecordChanges {
        .objects(Set(names.map { FoundObject(kind: .service, name: $0) }))
    }

    @Test("K1: an edit of one of 1,000 Services queues that one")
    func edit() throws {
        var services = try services(1_000)
        let first = try record(services, generation: 5)
        #expect(first.changes(since: nil) == .all)
        #expect(first.changes(since: first) == objects())
        services[400].metadata.generation = 4
        services[400].spec.ports[0].port = 9_999
        let second = try record(services, generation: 6, after: first)
        #expect(second.changes(since: first) == objects("s400"))
        #expect(second.service("s400")?.ports.first?.port == 9_999)
        #expect(second.service("s999")?.name == "s999" && second.service("s1000") == nil)
        // A change that leaves the configuration as it is has a generation to be told all the same.
        services[7].metadata.generation = 4
        let third = try record(services, generation: 6, after: second)
        #expect(third.changes(since: second) == objects("s7"))
    }

    @Test("K1: a Service that a refusal takes out of the configuration is queued, and back again")
    func refused() throws {
        var services = try services(3)
        let first = try record(services, generation: 5)
        services[1].spec.ports = []
        let second = try record(services, generation: 6, after: first)
        #expect(!second.findings(of: .service, "s1").isEmpty)
        #expect(second.changes(since: first) == objects("s1"))
        #expect(first.changes(since: second) == objects("s1"))
        var other = second
        other.siteID = try Samples.siteID("B")
        #expect(other.changes(since: second) == .all)
    }

    @Test("K1: an applied generation concerns what that generation changed")
    func applied() throws {
        var services = try services(1_000)
        let first = try record(services, generation: 5)
        services[400].spec.ports[0].port = 9_999
        services[400].metadata.generation = 4
        let second = try record(services, generation: 6, after: first)
        let old = try Samples.snapshot(generation: 5)
        func reached(_ difference: SnapshotDifference) -> [String] {
            difference.generations.map { second.objects(since: $0).map(\.name).sorted() } ?? []
        }
        let applied = SnapshotDifference(old, try Samples.snapshot(generation: 6))
        #expect(reached(applied) == ["s400"] && !applied.concernsLinks)
        #expect(!applied.concernsAll && applied.addresses.isEmpty)
        // A gateway that falls back takes the same one's readiness away.
        let back = SnapshotDifference(try Samples.snapshot(generation: 6), old)
        #expect(reached(back) == ["s400"])
        #expect(reached(SnapshotDifference(old, old)).isEmpty)
        #expect(SnapshotDifference(nil, old) == .everything)
        #expect(SnapshotDifference(try Samples.snapshot(2, generation: 5), old) == .everything)
    }
}
