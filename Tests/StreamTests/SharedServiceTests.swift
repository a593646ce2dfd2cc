import Balancing
import NetworkModel
import ProxyContract
import Streaming
import Synchronization
import TestSupport
import Testing

@testable import Proxy

@Suite("Shared service")
struct SharedServiceTests {
    private final class Count: Sendable {
        let value = Atomic(0)
    }

    @Test("who watches a service is told of the first change since it looked, and of no other")
    func changes() {
        let told = Count()
        let service = SharedService(service: TestProxy.backend) {
            told.value.wrappingAdd(1, ordering: .relaxed)
        }
        let seen = { told.value.load(ordering: .relaxed) }
        service.count(.opened)
        service.count(.opened)
        #expect(seen() == 1)
        service.willRead()
        #expect(seen() == 1 && service.counters.active == 2)
        service.count(.closed)
        service.count(.closed)
        #expect(seen() == 2)
    }

    @Test("connections that were lost, went on, or failed over are counted by target")
    func fates() throws {
        let (near, far) = (site(2), site(3))
        let service = SharedService(service: TestProxy.backend) {}
        let now = Instant(nanoseconds: 1)
        let backup = Target(site: far, reach: .usable(cost: PathCost(9), endpoints: 1))
        let preferred = Target(site: near, reach: .usable(cost: PathCost(1), endpoints: 1))
        service.update(targets: [preferred, backup], at: now)
        let picks = try (0..<2).map { _ in try #require(service.pick(excluding: [], at: now)) }
        for pick in picks { service.opened(pick, after: .zero, at: now) }
        service.resumed(picks[0], at: now)
        service.lost(picks[1], at: now)
        #expect(service.meters[near]?.resumed == 1 && service.meters[near]?.lost == 1)
        service.update(
            targets: [Target(site: near, reach: .absent(.linkLost)), backup],
            at: now
        )
        let next = try #require(service.pick(excluding: [], at: now))
        service.opened(next, after: .zero, at: now)
        #expect(service.takeRecords().map(\.reason) == [.linkLost])
        #expect(service.takeRecords().isEmpty)
        #expect(service.meters[far]?.failovers == [.init(from: near, reason: .linkLost): 1])
        service.release(picks[0])
        service.release(next)
    }

    @Test(
        "what is explained is what is picked: the first of the ranking, and every pick with what it saw"
    )
    func explanation() throws {
        let (here, near, far) = (site(1), site(2), site(3))
        let own = ProxyID(site: here, instance: 1)
        let service = SharedService(service: TestProxy.backend) {}
        let gateway = ProxyID(site: near, instance: 2)
        service.update(
            targets: [
                Target(site: near, reach: .usable(cost: PathCost(2), endpoints: 3)),
                Target(site: far, reach: .usable(cost: PathCost(9), endpoints: 1)),
            ],
            ways: [near: Ways(routes: [[gateway]])],
            policy: BalancingPolicy(weights: [far: 0]),
            at: Instant(nanoseconds: 1)
        )
        service.setOthers([near: 4])
        let now = Instant(nanoseconds: 5_000_000_000)
        let pick = try #require(
            service.pick(excluding: [], at: Instant(nanoseconds: 4_000_000_000))
        )
        let explainer = Explainer(
            own: own,
            names: [near: SiteName(id: near, name: "near")],
            now: now,
            wall: Timestamp(seconds: 100)
        )
        let told = explainer.explain(TestProxy.backend, service.account(at: now))
        #expect(told.candidates.map(\.site.displayName) == ["near", far.text])
        let first = told.candidates[0]
        #expect(first.perceived == .init(exact: "11/3", decimal: 11.0 / 3))
        #expect(
            first.own == 1 && first.others == 4
                && first.routes.map { $0.map(\.proxy) } == [[gateway]]
        )
        #expect(told.candidates[1].state == .excluded && told.candidates[1].reason == "NoWeight")
        let decision = try #require(told.decisions.first)
        #expect(decision.number == pick.number && decision.site.id == near)
        #expect(decision.time == Timestamp(seconds: 99))
        #expect(decision.seen.map(\.perceived.exact) == ["10/3"])
        #expect(told.servers.isEmpty)
    }
}
