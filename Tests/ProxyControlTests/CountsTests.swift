import NetworkModel
import Testing
import Wire

@testable import Proxy

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
        isFull: Bool = false,
        _ open: [ServicePort: UInt64]
    ) -> Counts {
        Counts(
            origin: proxy(origin),
            version: version,
            isFull: isFull,
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
        let changed = ledger.apply(counts(1, version: 3, isFull: true, [web: 1]), from: proxy(1))
        #expect(changed == [web, dns])
        #expect(ledger.sum(dns) == [:])
        #expect(ledger.sum(web) == [target: 1])
    }

    @Test("an edge that two gateways report counts once, and stays until both are silent")
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

    @Test("a sum for an edge leaves out the edge itself")
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
        #expect(first?.isFull == true && first?.entries.count == 2)
        #expect(frame([web, dns], 2) == nil)
        table[web] = nil
        let change = frame([web], 2)
        #expect(change?.isFull == false)
        #expect(change?.entries == [Counts.Entry(service: web, target: target, open: 0)])
        // Both ends agree after any number of frames.
        var ledger = CountsLedger()
        for counts in [first, change].compactMap(\.self) {
            _ = ledger.apply(counts, from: proxy(1))
        }
        #expect(ledger.table(of: proxy(1)) == table)
    }
}
