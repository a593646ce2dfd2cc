import Foundation
import NetworkModel
import ProxyContract
import TestSupport
import Testing

/// A reader that gets differences knows what one knows that gets the whole.
@Suite("Snapshots by differences")
struct SnapshotUpdateTests {
    private func proxy(_ instance: UInt64) -> ProxyID {
        ProxyID(site: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)), instance: instance)
    }

    private func port(_ index: Int) throws -> ServicePort {
        try #require(ServicePort("s\(index)/tcp"))
    }

    /// Any change of any part, or none.
    private func change(_ snapshot: inout ProxySnapshot, _ random: inout SeededGenerator) throws {
        var services = Dictionary(uniqueKeysWithValues: snapshot.services.map { ($0.service, $0) })
        var counters = Dictionary(uniqueKeysWithValues: snapshot.counters.map { ($0.service, $0) })
        let site = SiteName(id: snapshot.proxy.site, name: "east")
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let key = try port(Int.random(in: 0..<40, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: services[key] = nil
            case 1: counters[key] = nil
            case 2: counters[key, default: ServiceCounters(service: key)].opened += 1
            case 3:
                var record = FailoverSnapshot(
                    sequence: UInt64(snapshot.failovers.count + 1),
                    service: key,
                    from: site,
                    to: site,
                    reason: "LinkLost",
                    time: Timestamp(seconds: 1),
                    lost: 0,
                    resumed: 0,
                    durationMilliseconds: 0
                )
                record.lost = UInt32.random(in: 0..<3, using: &random)
                snapshot.failovers.append(record)
            case 4: snapshot.appliedGeneration += 1
            case 5:
                snapshot.sidecars = [
                    SidecarSnapshot(
                        proxy: proxy(UInt64.random(in: 2..<4, using: &random)),
                        appliedGeneration: 1,
                        counters: [],
                        failovers: []
                    )
                ]
            default:
                services[key] = ServiceSnapshot(
                    service: key,
                    listening: Bool.random(using: &random),
                    targets: []
                )
            }
        }
        snapshot.services = services.values.sorted { $0.service < $1.service }
        snapshot.counters = counters.values.sorted { $0.service < $1.service }
    }

    @Test("equal the whole, for readers that look now and then", arguments: Seeds.some(8))
    func equal(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var history = SnapshotHistory(proxy: proxy(1))
        var present = history.current
        var readers = Array(repeating: history.current, count: 4)
        for _ in 0..<300 {
            let before = history.current
            try change(&present, &random)
            var same = present
            same.version = before.version
            let isTaken = history.take(present)
            #expect(isTaken == (same != before))
            same.version = history.current.version
            #expect(history.current == same)
            for index in readers.indices where Int.random(in: 0..<3, using: &random) == 0 {
                let reader = readers[index]
                let update = history.update(since: reader.version, of: reader.proxy)
                let sent = try JSONDecoder().decode(
                    SnapshotUpdate.self,
                    from: JSONEncoder().encode(update)
                )
                #expect(sent == update)
                readers[index] = try #require(reader.applying(sent))
                #expect(readers[index] == history.current)
            }
        }
    }

    @Test("carry what changed, and nothing else")
    func small() throws {
        var history = SnapshotHistory(proxy: proxy(1))
        var snapshot = history.current
        snapshot.services = try (0..<1000).map(port).sorted()
            .map { ServiceSnapshot(service: $0, listening: true, targets: []) }
        let isTaken = history.take(snapshot)
        #expect(isTaken)
        let base = history.current.version
        snapshot.services[500].listening = false
        let isTakenToo = history.take(snapshot)
        #expect(isTakenToo)
        let update = history.update(since: base, of: proxy(1))
        #expect(update.snapshot.services == [snapshot.services[500]])
        #expect(update.unchanged == SnapshotUpdate.Part.allCases)
        #expect(try JSONEncoder().encode(update).count < 1000)
    }

    @Test("another instance, a version from the future and one that is not known get the whole")
    func strangers() throws {
        var history = SnapshotHistory(proxy: proxy(1))
        var snapshot = history.current
        snapshot.appliedGeneration = 3
        let isTaken = history.take(snapshot)
        #expect(isTaken)
        for (version, instance) in [(1, 2), (9, 1), (0, 1)] as [(UInt64, UInt64)] {
            let update = history.update(since: version, of: proxy(instance))
            #expect(update == SnapshotUpdate(history.current))
        }
    }

    @Test("a difference is applied to its own base only")
    func base() throws {
        var history = SnapshotHistory(proxy: proxy(1))
        for generation in 1...3 as ClosedRange<UInt64> {
            var snapshot = history.current
            snapshot.appliedGeneration = generation
            let isTaken = history.take(snapshot)
            #expect(isTaken)
        }
        let update = history.update(since: 2, of: proxy(1))
        #expect(update.base == 2)
        var other = history.current
        other.version = 1
        #expect(other.applying(update) == nil)
        #expect(ProxySnapshot(proxy: proxy(2)).applying(update) == nil)
    }

    @Test("a gateway of an earlier version answers with a whole snapshot")
    func earlier() throws {
        var snapshot = ProxySnapshot(proxy: proxy(1))
        snapshot.version = 7
        let update = try JSONDecoder().decode(
            SnapshotUpdate.self,
            from: JSONEncoder().encode(snapshot)
        )
        #expect(ProxySnapshot(proxy: proxy(2)).applying(update) == snapshot)
    }
}
