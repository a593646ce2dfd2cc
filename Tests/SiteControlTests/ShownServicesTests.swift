import NetworkModel
import ProxyContract
import TestSupport
import Testing

@testable import SiteControl

@Suite("The services of the snapshot")
struct ShownServicesTests {
    private let context = ShownServices.Context(names: [:], links: [])

    private func port(_ index: Int) throws -> ServicePort {
        try #require(ServicePort("s\(index)/tcp"))
    }

    private func now(_ seconds: Int64) -> Instant {
        Instant(nanoseconds: UInt64(seconds) * 1_000_000_000)
    }

    @Test("K1: a change of one of 1,000 services looks at one")
    func one() throws {
        let keys = try (0..<1000).map(port)
        var (shown, looks, context) = (ShownServices(), 0, self.context)
        func refresh(at seconds: Int64) {
            looks = 0
            shown.begin(keys, in: context, at: now(seconds))
            let isWhole = shown.advance(.max) { key in
                looks += 1
                return (ServiceSnapshot(service: key, listening: true, targets: []), nil)
            }
            #expect(isWhole)
        }
        refresh(at: 0)
        #expect(looks == 1000 && shown.services.map(\.service) == keys.sorted())
        refresh(at: 1)
        #expect(looks == 0)
        shown.mark([keys[7]])
        refresh(at: 2)
        #expect(looks == 1)
        refresh(at: 60)
        #expect(looks == 1000, "what nobody noticed is shown after a minute")
        shown.markAll()
        refresh(at: 61)
        #expect(looks == 1000)
        context.names[SiteID(publicKeyDigest: Array(repeating: 1, count: 32))] = "east"
        refresh(at: 62)
        #expect(looks == 1000, "its name is in every service")
    }

    @Test(
        "what comes, changes and goes leaves the lists as if all were looked at",
        arguments: Seeds.some()
    )
    func equal(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let keys = try (0..<30).map(port)
        var (shown, truth) = (ShownServices(), [ServicePort: UInt64]())
        for _ in 0..<500 {
            let key = try #require(keys.randomElement(using: &random))
            truth[key] =
                Bool.random(using: &random) ? UInt64.random(in: 0..<9, using: &random) : nil
            shown.mark([key])
            shown.begin(truth.keys, in: context, at: now(0))
            let isWhole = shown.advance(.max) { key in
                guard let count = truth[key] else { return (nil, nil) }
                return (
                    ServiceSnapshot(service: key, listening: count % 2 == 0, targets: []),
                    count == 0 ? nil : ServiceCounters(service: key, opened: count)
                )
            }
            #expect(isWhole)
            let there = truth.sorted { $0.key < $1.key }
            #expect(shown.services.map(\.service) == there.map(\.key))
            #expect(shown.services.map(\.listening) == there.map { $0.value % 2 == 0 })
            #expect(shown.counters.map(\.opened) == there.map(\.value).filter { $0 > 0 })
        }
    }
}
