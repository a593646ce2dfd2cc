import NetworkModel
import TestSupport
import Testing
import Wire

@testable import SiteControl

@Suite("Counts of a site's proxies")
struct CountsTests {
    private let own = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
    private let target = SiteID(publicKeyDigest: Array(repeating: 2, count: 32))

    private func proxy(_ instance: UInt64) -> ProxyID { ProxyID(site: own, instance: instance) }

    private func service(_ text: String = "web/http") throws -> ServicePort {
        try #require(ServicePort(text))
    }

    private func counts(
        _ origin: UInt64,
        version: UInt64,
        extent: Counts.Extent = .changes,
        _ open: [ServicePort: UInt64]
    ) -> Counts {
        Counts(
            origin: proxy(origin),
            version: version,
            extent: extent,
            entries: open.map { Counts.Entry(service: $0.key, target: target, open: $0.value) }
        )
    }

    @Test("what is repeated or late changes nothing")
    func idempotent() throws {
        let web = try service()
        var ledger = CountsLedger()
        #expect(ledger.apply(counts(1, version: 5, [web: 3]), from: proxy(1)) == [web])
        #expect(ledger.apply(counts(1, version: 5, [web: 9]), from: proxy(1)).isEmpty)
        #expect(ledger.apply(counts(1, version: 4, [web: 9]), from: proxy(1)).isEmpty)
        #expect(ledger.sum(web) == [target: 3])
    }

    @Test("a full frame makes what it does not list zero, a change leaves it")
    func full() throws {
        let (web, dns) = (try service(), try service("dns/tcp"))
        var ledger = CountsLedger()
        _ = ledger.apply(counts(1, version: 1, [web: 3, dns: 4]), from: proxy(1))
        _ = ledger.apply(counts(1, version: 2, [web: 5]), from: proxy(1))
        #expect(ledger.sum(dns) == [target: 4])
        let changed = ledger.apply(counts(1, version: 3, extent: .origin, [web: 1]), from: proxy(1))
        #expect(changed == [web, dns])
        #expect(ledger.sum(dns) == [:])
        #expect(ledger.sum(web) == [target: 1])
    }

    @Test("a sidecar that two gateways report counts once, and stays until both are silent")
    func twoReporters() throws {
        let web = try service()
        var ledger = CountsLedger()
        _ = ledger.apply(counts(9, version: 1, [web: 3]), from: proxy(1))
        _ = ledger.apply(counts(9, version: 7, [web: 4]), from: proxy(2))
        #expect(ledger.sum(web) == [target: 3])
        // Its own words win over hearsay.
        _ = ledger.apply(counts(9, version: 1, [web: 5]), from: proxy(9))
        #expect(ledger.sum(web) == [target: 5])
        _ = ledger.drop(proxy(9))
        #expect(ledger.drop(proxy(1)) == [web])
        #expect(ledger.sum(web) == [target: 4])
        _ = ledger.drop(proxy(2))
        #expect(ledger.sum(web) == [:])
        #expect(ledger.services.isEmpty)
    }

    @Test("a sum for a sidecar leaves out the sidecar itself")
    func excluding() throws {
        let web = try service()
        var ledger = CountsLedger()
        _ = ledger.apply(counts(1, version: 1, [web: 3]), from: proxy(1))
        _ = ledger.apply(counts(9, version: 1, [web: 4]), from: proxy(9))
        #expect(ledger.sum(web, excluding: proxy(9)) == [target: 3])
    }

    @Test("a neighbor is told everything once, then differences, zeros included")
    func outbox() throws {
        let (web, dns) = (try service(), try service("dns/tcp"))
        var table: CountsTable = [web: [target: 3], dns: [target: 1]]
        var outbox = CountsOutbox()
        let frame = { (services: Set<ServicePort>?, version: UInt64) in
            outbox.frame(
                origin: proxy(1),
                version: version,
                services: services,
                { table[$0] },
                all: { table }
            )
        }
        let first = frame(nil, 1)
        #expect(first?.extent == .origin && first?.entries.count == 2)
        #expect(frame([web, dns], 2) == nil)
        table[web] = nil
        let change = frame([web], 2)
        #expect(change?.extent == .changes)
        #expect(change?.entries == [Counts.Entry(service: web, target: target, open: 0)])
        let again = outbox.frame(
            origin: proxy(1),
            version: 3,
            services: [],
            anew: true,
            { table[$0] },
            all: { table }
        )
        #expect(again?.extent == .anew && again?.entries.count == 1)
        // Both ends agree after any number of frames.
        var ledger = CountsLedger()
        for counts in [first, change, again].compactMap(\.self) {
            _ = ledger.apply(counts, from: proxy(1))
        }
        #expect(ledger.table(of: proxy(1)) == table)
    }

    @Test("what begins anew makes all void that its reporter said before, of anyone")
    func anew() throws {
        let (web, dns) = (try service(), try service("dns/tcp"))
        var ledger = CountsLedger()
        _ = ledger.apply(counts(1, version: 1, [web: 3]), from: proxy(1))
        _ = ledger.apply(counts(9, version: 2, [web: 4, dns: 1]), from: proxy(1))
        _ = ledger.apply(counts(8, version: 3, [web: 5]), from: proxy(2))
        #expect(ledger.sum(web) == [target: 12])
        // The retraction of 9 was lost; 1 tells everything again, and 9 is not part of it.
        let changed = ledger.apply(counts(1, version: 7, extent: .anew, [web: 2]), from: proxy(1))
        #expect(changed == [web, dns])
        #expect(ledger.sum(web) == [target: 7])
        #expect(ledger.sum(dns) == [:])
        // A frame from before that comes late revives nothing.
        #expect(ledger.apply(counts(9, version: 6, [dns: 1]), from: proxy(1)).isEmpty)
        #expect(ledger.apply(counts(1, version: 1, extent: .anew, [:]), from: proxy(1)).isEmpty)
        #expect(ledger.sum(web) == [target: 7])
    }

    @Test("sidecars that come and go leave nothing behind, and a late frame revives none")
    func churn() throws {
        let web = try service()
        var ledger = CountsLedger()
        for instance in 0..<5_000 as Range<UInt64> {
            let sidecar = 100 + instance
            _ = ledger.apply(counts(sidecar, version: 2 * instance + 1, [web: 1]), from: proxy(1))
            _ = ledger.apply(
                counts(sidecar, version: 2 * instance + 2, extent: .origin, [:]),
                from: proxy(1)
            )
        }
        #expect(ledger.originCount == 0)
        #expect(ledger.apply(counts(100, version: 1, [web: 1]), from: proxy(1)).isEmpty)
        #expect(ledger.apply(counts(7, version: 20_000, [web: 6]), from: proxy(1)) == [web])
        #expect(ledger.sum(web) == [target: 6])
        #expect(ledger.takeRefusals() == 0)
    }

    @Test("an origin's empty hearsay gives way to another reporter's")
    func hearsay() throws {
        let web = try service()
        var ledger = CountsLedger()
        _ = ledger.apply(counts(9, version: 1, [web: 3]), from: proxy(1))
        _ = ledger.apply(counts(9, version: 1, [web: 3]), from: proxy(2))
        // It has left the first gateway, and is still attached to the second.
        _ = ledger.apply(counts(9, version: 2, extent: .origin, [:]), from: proxy(1))
        #expect(ledger.sum(web) == [target: 3])
    }

    @Test("origins, counts and unknown services beyond the limits are left out, and that is said")
    func limits() throws {
        let web = try service()
        var ledger = CountsLedger()
        for instance in 1...UInt64(CountsLedger.originLimit) {
            _ = ledger.apply(counts(instance, version: 1, [web: 1]), from: proxy(instance))
        }
        #expect(ledger.takeRefusals() == 0)
        #expect(ledger.apply(counts(99_999, version: 1, [web: 1]), from: proxy(1)).isEmpty)
        #expect(ledger.takeRefusals() == 1)
        #expect(ledger.sum(web) == [target: UInt64(CountsLedger.originLimit)])

        ledger = CountsLedger()
        for number in 0..<1_000 {
            let invented = [try service("s\(number)/http"): 1 as UInt64]
            let frame = counts(9, version: UInt64(number + 1), invented)
            _ = ledger.apply(frame, from: proxy(9)) { $0 == web }
        }
        #expect(ledger.services.count == CountsLedger.unknownLimit)
        _ = ledger.apply(counts(9, version: 2_000, [web: 1]), from: proxy(9)) { $0 == web }
        #expect(ledger.sum(web) == [target: 1])
    }

    @Test("running sums are what adding everything up gives", arguments: 0..<20 as Range<UInt64>)
    func sums(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let services = try (0..<4).map { try service("s\($0)/http") }
        var ledger = CountsLedger()
        var versions: UInt64 = 0
        for _ in 0..<400 {
            let reporter = UInt64.random(in: 1...3, using: &random)
            if UInt8.random(in: 0..<20, using: &random) == 0 {
                _ = ledger.drop(proxy(reporter))
                continue
            }
            versions += 1
            let said =
                [
                    services.randomElement(using: &random) ?? services[0]:
                        UInt64.random(in: 0...3, using: &random),
                    services.randomElement(using: &random) ?? services[0]:
                        UInt64.random(in: 0...3, using: &random),
                ] as KeyValuePairs
            let frame = Counts(
                origin: proxy(UInt64.random(in: 1...5, using: &random)),
                version: UInt64.random(in: versions...versions + 2, using: &random),
                extent: Counts.Extent.allCases.randomElement(using: &random) ?? .changes,
                entries: said.map { Counts.Entry(service: $0.key, target: target, open: $0.value) }
            )
            let before = services.map { ledger.sum($0) }
            let changed = ledger.apply(frame, from: proxy(reporter))
            for (index, service) in services.enumerated() {
                let tables = (1...5).map { ledger.table(of: proxy($0))[service]?[target] ?? 0 }
                let sum = tables.reduce(0, +)
                #expect(ledger.sum(service) == (sum > 0 ? [target: sum] : [:]))
                #expect(changed.contains(service) || before[index] == ledger.sum(service))
                let others = sum - tables[0]
                #expect(
                    ledger.sum(service, excluding: proxy(1))
                        == (others > 0 ? [target: others] : [:])
                )
            }
        }
    }
}
