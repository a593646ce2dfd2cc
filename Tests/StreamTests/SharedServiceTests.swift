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
