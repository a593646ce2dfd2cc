import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Testing

@testable import Controller

@Suite("Counter ledger")
struct CounterLedgerTests {
    @Test("each proxy adds what it counted since its cursor")
    func adds() throws {
        var ledger = CounterLedger(cursors: [ProxyCursor(proxy: try Samples.proxy(1), opened: 10)])
        ledger.count([
            ProxyReading(proxy: try Samples.proxy(1), opened: 15, failed: 2),
            ProxyReading(proxy: try Samples.proxy(2), opened: 7),
        ])
        #expect(ledger.opened == 12)
        #expect(ledger.failed == 2)
        var again = CounterLedger(cursors: ledger.cursors)
        again.count([
            ProxyReading(proxy: try Samples.proxy(1), opened: 15, failed: 2),
            ProxyReading(proxy: try Samples.proxy(2), opened: 7),
        ])
        #expect(again.opened == 0)
        #expect(again.cursors == ledger.cursors)
    }

    @Test("a proxy that was out of sight is not counted twice when it returns")
    func returns() throws {
        var ledger = CounterLedger(cursors: [])
        ledger.count([ProxyReading(proxy: try Samples.proxy(1), opened: 15)])
        ledger.count([])
        ledger.count([ProxyReading(proxy: try Samples.proxy(1), opened: 16)])
        #expect(ledger.opened == 16)
    }

    @Test("a counter that fell was started anew")
    func falls() throws {
        var ledger = CounterLedger(cursors: [ProxyCursor(proxy: try Samples.proxy(1), opened: 10)])
        ledger.count([ProxyReading(proxy: try Samples.proxy(1), opened: 3)])
        #expect(ledger.opened == 3)
    }

    @Test("totals stop at the limit of a number, whatever proxies and edited cursors say")
    func saturates() throws {
        var ledger = CounterLedger(
            cursors: [ProxyCursor(proxy: try Samples.proxy(1), opened: Int64.min)]
        )
        ledger.count(
            try (1...3).map {
                ProxyReading(proxy: try Samples.proxy($0), opened: .max, failed: .max)
            }
        )
        #expect(ledger.opened == .max)
        #expect(ledger.failed == .max)
    }

    @Test("absent proxies give way when there is no room, present ones never")
    func bounded() throws {
        let present = try (1...250).map { ProxyReading(proxy: try Samples.proxy($0), opened: 1) }
        var ledger = CounterLedger(
            cursors: try (1000...1020).map { ProxyCursor(proxy: try Samples.proxy($0), opened: 1) }
        )
        ledger.count(present)
        #expect(ledger.cursors.count == CounterLedger.maximumCursors)
        #expect(Set(present.map(\.proxy)).isSubset(of: ledger.cursors.map(\.proxy)))
    }
}

@Suite("Failovers")
struct FailoverTests {
    private func records(_ list: [(UInt64, FailoverSnapshot)]) throws -> [ProxyFailover] {
        try list.map { ProxyFailover(proxy: try Samples.proxy($0.0), record: $0.1) }
    }

    /// Steps until nothing is left, as the reconciler does.
    private func run(
        _ status: ServiceStatus,
        _ records: [ProxyFailover],
        ledger: inout FailoverLedger
    ) -> (status: ServiceStatus, events: [Failover]) {
        var status = status
        var events: [Failover] = []
        while let step = FailoverStep.next(status: status, records: records, ledger: &ledger) {
            status = step.status
            if let event = step.event { events.append(event) }
        }
        return (status, events)
    }

    @Test("what three proxies saw within five seconds is one failover")
    func merges() throws {
        var ledger = FailoverLedger()
        let records = try records([
            (1, Samples.failover(1, time: 100, lost: 2)),
            (2, Samples.failover(1, time: 101, lost: 3)),
            (3, Samples.failover(4, time: 104.9)),
        ])
        let (status, events) = run(ServiceStatus(), records, ledger: &ledger)
        #expect(events.count == 1)
        #expect(status.failovers == 1)
        #expect(status.lastFailover?.lost == 5)
        #expect(status.lastFailover?.time.seconds == 100)
        let (same, none) = run(status, records, ledger: &ledger)
        #expect(none.isEmpty)
        #expect(same == status)
    }

    @Test("a late record is merged after a restart, from what the status says")
    func restart() throws {
        var ledger = FailoverLedger()
        let first = try records([(1, Samples.failover(1, time: 100))])
        let (status, _) = run(ServiceStatus(), first, ledger: &ledger)
        let last = try #require(status.lastFailover)
        var restarted = FailoverLedger(recent: [Failover(last)])
        let more = try first + records([(2, Samples.failover(1, time: 103, lost: 1))])
        let (merged, events) = run(status, more, ledger: &restarted)
        #expect(events.isEmpty)
        #expect(merged.failovers == 1)
        #expect(merged.lastFailover?.lost == 1)
    }

    @Test(
        "a killed server is one failover, whether its connects were refused or no endpoint was left"
    )
    func sameCause() throws {
        var ledger = FailoverLedger()
        let (status, events) = run(
            ServiceStatus(),
            try records([
                (1, Samples.failover(1, reason: "NoEndpoints", time: 100)),
                (2, Samples.failover(1, reason: "ConnectRefused", time: 100.1, lost: 3)),
            ]),
            ledger: &ledger
        )
        #expect(events.map(\.reason) == ["NoEndpoints"])
        #expect(status.failovers == 1)
        #expect(status.lastFailover?.lost == 3)
    }

    @Test("other targets, other causes and later times are failovers of their own")
    func separate() throws {
        var ledger = FailoverLedger()
        let (status, events) = run(
            ServiceStatus(),
            try records([
                (1, Samples.failover(1, time: 100)),
                (1, Samples.failover(2, to: "north", time: 101)),
                (1, Samples.failover(3, reason: "Draining", time: 102)),
                (1, Samples.failover(4, time: 106)),
            ]),
            ledger: &ledger
        )
        #expect(events.count == 4)
        #expect(status.failovers == 4)
    }

    @Test("a failback is told and not counted as a failover")
    func failback() throws {
        var ledger = FailoverLedger()
        let (status, events) = run(
            ServiceStatus(),
            try records([
                (1, Samples.failover(1, time: 100)),
                (1, Samples.failover(2, from: "east", to: "west", reason: "Failback", time: 110)),
            ]),
            ledger: &ledger
        )
        #expect(events.map(\.isFailback) == [false, true])
        #expect(status.failovers == 1)
        #expect(status.lastFailover?.reason == "Failback")
    }

    @Test("one told failover is one step, with the cursors that belong to it")
    func steps() throws {
        var ledger = FailoverLedger()
        let records = try records([
            (1, Samples.failover(1, time: 100)), (1, Samples.failover(2, to: "north", time: 101)),
        ])
        let first = try #require(
            FailoverStep.next(status: ServiceStatus(), records: records, ledger: &ledger)
        )
        #expect(first.hasMore)
        #expect(first.status.cursors.first?.failovers == 1)
        let second = try #require(
            FailoverStep.next(status: first.status, records: records, ledger: &ledger)
        )
        #expect(!second.hasMore)
        #expect(FailoverStep.next(status: second.status, records: records, ledger: &ledger) == nil)
    }

    @Test("the name of its Event depends on what happened alone")
    func eventName() throws {
        let service = try Samples.service()
        let failover = Failover(
            from: "a",
            to: "b",
            reason: "LinkLost",
            time: Timestamp(microseconds: 100_400_000)
        )
        var later = failover
        later.lost = 9
        later.time = Timestamp(seconds: 100)
        #expect(
            Transitions.failover(service, failover).name
                == Transitions.failover(service, later).name
        )
        later.time = Timestamp(seconds: 106)
        #expect(
            Transitions.failover(service, failover).name
                != Transitions.failover(service, later).name
        )
    }
}

@Suite("Round trip")
struct RoundTripTests {
    @Test(
        "two digits, and steady within a quarter",
        arguments: [
            (1_234, nil, 1_200), (1_260, 1_200, 1_200), (1_600, 1_200, 1_600), (80, nil, 80),
            (99_900, nil, 100_000), (900, 1_200, 1_200), (899, 1_200, 900),
        ] as [(UInt64, UInt64?, UInt64)]
    )
    func buckets(measured: UInt64, shown: UInt64?, expected: UInt64) {
        #expect(RoundTripBucket.microseconds(measured, shown: shown) == expected)
    }

    @Test(
        "is written in milliseconds",
        arguments: [(1_400, "1.4ms"), (90, "0.09ms"), (85_000, "85ms"), (2_005, "2.005ms")]
            as [(UInt64, String)]
    )
    func text(microseconds: UInt64, expected: String) {
        #expect(RoundTripBucket.duration(microseconds)?.text == expected)
    }
}

@Suite("Refused sites")
struct RefusalTellerTests {
    private func site(_ number: Int) throws -> SiteID {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        let tail = String([
            letters[number / 26 / 26 % 26], letters[number / 26 % 26], letters[number % 26],
        ])
        return try #require(SiteID(String(repeating: "A", count: SiteID.length - 3) + tail))
    }

    private func at(_ seconds: UInt64) -> Instant {
        Instant(nanoseconds: (10_000 + seconds) * 1_000_000_000)
    }

    @Test("each is told once; of ever new ones ten by name, then that there are others, once")
    func bounded() throws {
        var teller = RefusalTeller()
        #expect(teller.take([try site(0)], at: at(0)).sites == [try site(0)])
        #expect(teller.take([try site(0)], at: at(1)) == RefusalTeller.News())
        var told = 0
        var others = 0
        for number in 1...1000 {
            let news = teller.take([try site(number)], at: at(2))
            told += news.sites.count
            others += news.others == nil ? 0 : 1
        }
        #expect(told == 9 && others == 1)
        #expect(teller.count == 10)
        // Ten minutes later again, and after fifty the first may be told anew.
        #expect(teller.take([try site(1001)], at: at(700)).sites.count == 1)
        #expect(teller.take([try site(0)], at: at(2000)) == RefusalTeller.News())
        #expect(teller.take([try site(0)], at: at(3100)).sites == [try site(0)])
    }

    @Test("sites that come together are counted together")
    func together() throws {
        var teller = RefusalTeller()
        let news = teller.take(try (0..<16).map(site), at: at(0))
        #expect(news.sites.count == 10 && news.others == 6)
    }
}
