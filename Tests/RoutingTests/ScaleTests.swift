import NetworkModel
import Routing
import TestSupport
import Testing

/// What costs grow with: what changed and what somebody here uses, not what others advertise.
@Suite("Scale")
struct ScaleTests {
    private let edge = EdgeName.link(dialer: site(0), name: link("l"))

    private func name(_ number: Int) -> ServicePort { service("service-\(10_000 + number)/http") }

    /// A gateway with one neighbor.
    private func instance(_ interest: ServiceInterest) -> RoutingInstance {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.interest(interest), at: .milliseconds(1_000))
        let costs = RoutingConfiguration(linkCosts: [link("l"): cost(5)])
        _ = instance.handle(.configure(costs), at: .milliseconds(1_000))
        _ = instance.handle(
            .adjacency(neighbor: gateway(1), edges: [edge]),
            at: .milliseconds(1_000)
        )
        return instance
    }

    /// The fragments in which gateway `index` offers `count` services; the neighbor if it is 1.
    private func advertisement(
        _ index: Int,
        services count: Int,
        sequence: UInt64 = 1,
        endpoints: (Int) -> UInt32 = { _ in 1 }
    ) -> [SignedLSA] {
        let size = RoutingLimits.servicesPerFragment
        let fragments = max(1, (count + size - 1) / size)
        return (0..<fragments).map { fragment in
            let numbers = fragment * size..<min(count, (fragment + 1) * size)
            let lsa = LSA(
                origin: gateway(index),
                sequence: sequence,
                issued: wall(.milliseconds(1_000)),
                fragment: UInt16(fragment),
                fragmentCount: UInt16(fragments),
                edges: fragment == 0 && index == 1
                    ? [LSAEdge(neighbor: gateway(0), name: edge, cost: nil)] : [],
                services: numbers.map { LSAService(service: name($0), endpoints: endpoints($0)) }
            )
            return SignedLSA(lsa: lsa, bytes: [UInt8](repeating: 0, count: 40 * numbers.count))
        }
    }

    private func changes(_ outputs: [RoutingOutput]) -> [RouteChanges] {
        outputs.compactMap { output in
            if case .routesChanged(_, let changes) = output { changes } else { nil }
        }
    }

    /// Feeds what arrives, and runs what is due until a second later.
    private func learn(
        _ signed: [SignedLSA],
        _ instance: inout RoutingInstance,
        at milliseconds: Int
    ) -> [RouteChanges] {
        var outputs: [RoutingOutput] = []
        let now = Instant.milliseconds(milliseconds)
        for lsa in signed {
            outputs += instance.handle(.received(lsa, from: gateway(1)), at: now)
        }
        while let deadline = instance.nextDeadline, deadline < now + .seconds(1) {
            outputs += instance.handle(.deadline, at: max(deadline, now))
        }
        return changes(outputs)
    }

    @Test("of 1,000 services one whose count changes is the only one that is touched")
    func oneCountOfMany() {
        var instance = instance(ServiceInterest(services: Set((0..<1_000).map(name))))
        let first = learn(advertisement(1, services: 1_000), &instance, at: 2_000)
        #expect(first.reduce(into: Set()) { $0.formUnion($1.services) }.count == 1_000)
        let clock = ContinuousClock()
        var touched = 0
        let rounds = 20
        var spent = Duration.zero
        for round in 1...rounds {
            let fragment = advertisement(1, services: 1_000, sequence: UInt64(round + 1)) {
                $0 == 700 ? UInt32(round + 1) : 1
            }[1]
            let start = clock.now
            let changes = learn([fragment], &instance, at: 10_000 + 2_000 * round)
            spent += clock.now - start
            for change in changes {
                #expect(change == RouteChanges(services: [name(700)]))
                touched += change.services.count
            }
            let weight = instance.table.services[name(700)]?.first?.target.reach.endpoints
            #expect(weight == UInt32(round + 1))
        }
        #expect(touched == rounds)
        print("one count of 1,000 services: \(spent / rounds) each, \(touched / rounds) touched")
    }

    @Test("a changed cost touches the services behind that link, and no others")
    func costTouchesItsOwn() {
        var instance = instance(ServiceInterest(services: Set((0..<10).map(name))))
        _ = learn(advertisement(1, services: 3), &instance, at: 2_000)
        let outputs = instance.handle(
            .configure(RoutingConfiguration(linkCosts: [link("l"): cost(6)])),
            at: .milliseconds(4_000)
        )
        #expect(changes(outputs).map(\.services) == [Set((0..<3).map(name))])
    }

    @Test("D3: what strangers advertise and nobody uses is held as it was signed, and nothing else")
    func strangers() {
        var instance = instance(ServiceInterest(services: [name(5), name(900_000)]))
        let outputs = learn(advertisement(1, services: 10_240), &instance, at: 2_000)
        #expect(outputs.flatMap(\.services) == [name(5)])
        #expect(instance.table.services.count == 1)
        #expect(instance.headers.count == 20)
        // Another count of a service that nobody uses is flooded on, and changes no table.
        let version = instance.table.version
        let next = advertisement(1, services: 10_240, sequence: 2) { $0 == 600 ? 7 : 1 }[1]
        #expect(learn([next], &instance, at: 60_000).isEmpty)
        #expect(instance.table.version == version)
        // Somebody begins to use it, and ends.
        let more = instance.handle(
            .interest(ServiceInterest(services: [name(5), name(600)])),
            at: .milliseconds(70_000)
        )
        #expect(changes(more) == [RouteChanges(services: [name(600)])])
        #expect(instance.table.services[name(600)]?.first?.target.reach.endpoints == 7)
        let fewer = instance.handle(
            .interest(ServiceInterest(services: [name(5)])),
            at: .milliseconds(71_000)
        )
        #expect(changes(fewer) == [RouteChanges(services: [name(600)])])
        #expect(instance.table.services.count == 1)
        let all = instance.handle(.interest(.all), at: .milliseconds(72_000))
        #expect(changes(all).flatMap(\.services).count == 10_239)
    }

    @Test("D3: one site may name 32,768 services in all, whatever its gateways")
    func servicesOfOneSite() {
        var instance = instance(ServiceInterest())
        for life in 1...4 {
            for var signed in advertisement(2, services: 10_240) {
                signed.lsa.origin = gateway(2, UInt64(life))
                signed.bytes = []
                _ = instance.handle(
                    .received(signed, from: gateway(1)),
                    at: .milliseconds(2_000 + 10_000 * life)
                )
            }
        }
        let held = instance.headers.filter { $0.key.origin.site == site(2) }.count
        // The fourth takes the place of the first, which nothing leads to.
        #expect(held == 60)
        #expect(held * 512 <= RoutingLimits.servicesPerSite)
    }

    @Test("D7: newer versions of one origin are taken at 15 a second, the newest in the end")
    func pace() {
        var instance = instance(ServiceInterest(services: [name(0)]))
        var acknowledged: UInt64 = 0
        var taken = 0
        for number in 1...2_500 {
            let now = Instant.milliseconds(2_000 + 2 * number)
            let signed = advertisement(1, services: 1, sequence: UInt64(number)) { _ in
                UInt32(number)
            }[0]
            if instance.isTooSoon(signed.lsa.header, at: now) { continue }
            for output in instance.handle(.received(signed, from: gateway(1)), at: now) {
                guard case .send(.acknowledgment(let headers), to: gateway(1)) = output else {
                    continue
                }
                acknowledged = max(acknowledged, headers.map(\.sequence).max() ?? 0)
                taken += 1
            }
        }
        // Five seconds.
        #expect((100...107).contains(taken), "\(taken)")
        #expect(acknowledged < 2_500)
        // It was not acknowledged: an honest neighbor sends its newest again.
        let newest = advertisement(1, services: 1, sequence: 2_500) { _ in 2_500 }
        _ = learn(newest, &instance, at: 8_000)
        #expect(instance.table.services[name(0)]?.first?.target.reach.endpoints == 2_500)
    }

    @Test("D7: ever new gateways of one site are taken at a pace as well")
    func newcomers() {
        var instance = instance(ServiceInterest())
        var taken = 0
        for number in 1...5_000 {
            var signed = advertisement(2, services: 0)[0]
            signed.lsa.origin = gateway(2, UInt64(number))
            let now = Instant.milliseconds(2_000 + 2 * number)
            if !instance.isTooSoon(signed.lsa.header, at: now) { taken += 1 }
            _ = instance.handle(.received(signed, from: gateway(1)), at: now)
        }
        // Ten seconds.
        #expect(taken <= 256 + 510)
        #expect(instance.headers.count <= 64)
    }

    @Test("D7: paths are computed at once after quiet, and a second apart under load")
    func distance() {
        var instance = instance(.all)
        var runs: [Int] = []
        var sequence: UInt64 = 0
        // Somebody's cost changes every 5 ms, as seen by one of many origins in turn: none exceeds its own pace.
        for tick in 0..<1_200 {
            let now = 5_000 + 5 * tick
            let index = 10 + tick % 80
            sequence += 1
            let lsa = LSA(
                origin: gateway(index),
                sequence: sequence,
                issued: wall(.milliseconds(1_000)),
                displayName: "name-\(sequence)"
            )
            let outputs = instance.handle(
                .received(SignedLSA(lsa: lsa, bytes: []), from: gateway(1)),
                at: .milliseconds(now)
            )
            if !changes(outputs).isEmpty { runs.append(now) }
        }
        #expect(runs.first == 5_000, "the first change waits for nothing")
        let distances = zip(runs, runs.dropFirst()).map { $1 - $0 }
        #expect(distances.first ?? 0 <= 25)
        #expect(distances.last ?? 0 >= 1_000)
        #expect(runs.count < 20, "\(distances)")
        // After quiet the next one is at once again.
        let lsa = LSA(
            origin: gateway(10),
            sequence: sequence + 1,
            issued: wall(.milliseconds(1_000)),
            displayName: "again"
        )
        let outputs = instance.handle(
            .received(SignedLSA(lsa: lsa, bytes: []), from: gateway(1)),
            at: .milliseconds(20_000)
        )
        #expect(changes(outputs).count == 1)
        // What this gateway sees itself never waits.
        let urgent = instance.handle(
            .configure(RoutingConfiguration(linkCosts: [link("l"): cost(9)])),
            at: .milliseconds(20_001)
        )
        #expect(changes(urgent).count <= 1)
    }
}
