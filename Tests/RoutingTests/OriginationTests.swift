import NetworkModel
import Routing
import TestSupport
import Testing

@Suite("Origination")
struct OriginationTests {
    private func signed(_ outputs: [RoutingOutput]) -> [LSA] {
        outputs.compactMap { output in
            if case .sign(let lsa) = output { lsa } else { nil }
        }
    }

    @Test("a count waits 100 ms for others, except to and from zero")
    func batching() {
        var instance = RoutingInstance(origin: gateway(0))
        let first = instance.handle(.services([service("s/p"): 1]), at: .milliseconds(1_000))
        #expect(signed(first).count == 1)
        #expect(
            signed(instance.handle(.services([service("s/p"): 2]), at: .milliseconds(1_010)))
                .isEmpty
        )
        #expect(
            signed(instance.handle(.services([service("s/p"): 3]), at: .milliseconds(1_050)))
                .isEmpty
        )
        #expect(instance.nextDeadline == .milliseconds(1_110))
        let batch = signed(instance.handle(.deadline, at: .milliseconds(1_110)))
        #expect(batch.first?.services.map(\.endpoints) == [3])
        let gone = signed(instance.handle(.services([service("s/p"): 0]), at: .milliseconds(1_120)))
        #expect(gone.first?.services.map(\.endpoints) == [0])
        // Nothing is due before the advertisement is renewed.
        #expect(instance.nextDeadline == .milliseconds(1_120 + 600_000))
    }

    @Test(
        "B1: every count is advertised as it is",
        arguments: [1, 4, 5, 7, 11, 13, 1_001, UInt32.max]
    )
    func exactCounts(_ count: UInt32) {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.services([service("s/p"): 4_000]), at: .milliseconds(1_000))
        _ = instance.handle(.services([service("s/p"): count]), at: .milliseconds(2_000))
        let lsas = signed(instance.handle(.deadline, at: .milliseconds(2_100)))
        #expect(lsas.first?.services.map(\.endpoints) == [count])
    }

    @Test("D2: an advertisement is dated, and signed anew when a third of its lifetime has passed")
    func renewal() {
        var instance = RoutingInstance(origin: gateway(0))
        let first = signed(
            instance.handle(.services([service("s/p"): 1]), at: .milliseconds(1_000))
        )
        #expect(first.map(\.issued) == [wall(.milliseconds(1_000))])
        #expect(first.map(\.lifetime) == [1_800])
        #expect(signed(instance.handle(.deadline, at: .milliseconds(600_999))).isEmpty)
        let second = signed(instance.handle(.deadline, at: .milliseconds(601_000)))
        #expect(second.map(\.issued) == [wall(.milliseconds(601_000))])
        #expect(second.map(\.sequence) == [2])
        #expect(second.map(\.services) == first.map(\.services))
    }

    @Test("D2: after the clock was set, everything is dated anew")
    func clockSet() {
        var instance = RoutingInstance(origin: gateway(0))
        let now = Instant.milliseconds(1_000)
        let services = RoutingInput.services([service("s/p"): 1])
        let ahead = instance.handle(services, at: now, wall: wall(now) + 86_400)
        #expect(signed(ahead).first?.issued == wall(now) + 86_400)
        let later = Instant.milliseconds(2_000)
        let right = signed(instance.handle(.deadline, at: later, wall: wall(later)))
        #expect(right.map(\.issued) == [wall(later)])
        #expect(right.map(\.sequence) == [2])
    }

    @Test("D2: the last advertisement of a gateway that ends names no edge")
    func withdrawal() {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.services([service("s/p"): 1]), at: .milliseconds(1_000))
        let edge = EdgeName.link(dialer: site(1), name: link("l"))
        _ = instance.handle(
            .adjacency(neighbor: gateway(1), edges: [edge]),
            at: .milliseconds(1_200)
        )
        let last = signed(instance.handle(.withdraw, at: .milliseconds(1_300)))
        #expect(last.map(\.sequence) == [3])
        #expect(last.allSatisfy { $0.overload && $0.edges.isEmpty })
    }

    @Test(
        "after a burst of 20 originations come at 10 a second, and the newest state is never lost"
    )
    func pace() {
        var instance = RoutingInstance(origin: gateway(0))
        var lsas: [LSA] = []
        var now = Instant.milliseconds(1_000)
        for value in 1...200 {
            let configuration = RoutingConfiguration(displayName: "name-\(value)")
            lsas += signed(instance.handle(.configure(configuration), at: now))
            now = now + .milliseconds(1)
        }
        #expect((20...23).contains(lsas.count))
        while let deadline = instance.nextDeadline, deadline < now + .seconds(5) {
            lsas += signed(instance.handle(.deadline, at: deadline))
        }
        #expect(lsas.last?.displayName == "name-200")
        #expect(lsas.map(\.sequence) == Array(1...UInt64(lsas.count)))
    }

    @Test("a long list is cut into fragments, and only the changed one is signed again")
    func fragments() {
        var instance = RoutingInstance(origin: gateway(0))
        var services: [ServicePort: UInt32] = [:]
        for index in 0..<2_000 { services[service("service-\(1_000 + index)/http")] = 1 }
        let all = signed(instance.handle(.services(services), at: .milliseconds(1_000)))
        #expect(all.count == 4)
        #expect(all.map(\.fragment) == [0, 1, 2, 3])
        #expect(all.allSatisfy { $0.fragmentCount == 4 && $0.services.count <= 512 })
        #expect(all.flatMap(\.services).count == 2_000)
        services[service("service-2999/http")] = 0
        let changed = signed(instance.handle(.services(services), at: .milliseconds(1_100)))
        #expect(changed.map(\.fragment) == [3])
        services = services.filter { $0.key < service("service-1100/http") }
        let fewer = signed(instance.handle(.services(services), at: .milliseconds(1_200)))
        #expect(fewer.map(\.fragmentCount) == [1])
        for lsa in all + changed + fewer {
            _ = instance.handle(.signed(SignedLSA(lsa: lsa, bytes: [])), at: .milliseconds(1_300))
        }
        #expect(instance.headers.map(\.key.fragment) == [0])
    }

    @Test("what is new goes where there is room: nothing that was advertised moves")
    func stable() {
        var instance = RoutingInstance(origin: gateway(0))
        var services: [ServicePort: UInt32] = [:]
        for index in 0..<1_200 { services[service("service-\(1_000 + index)/http")] = 1 }
        var places: [ServicePort: UInt16] = [:]
        for lsa in signed(instance.handle(.services(services), at: .milliseconds(1_000))) {
            for entry in lsa.services { places[entry.service] = lsa.fragment }
        }
        // Both sort before everything that is there.
        let edge = EdgeName.link(dialer: site(1), name: link("l"))
        services[service("a/http")] = 1
        let changed =
            signed(
                instance.handle(
                    .adjacency(neighbor: gateway(1), edges: [edge]),
                    at: .milliseconds(2_000)
                )
            ) + signed(instance.handle(.services(services), at: .milliseconds(3_000)))
        for lsa in changed {
            for entry in lsa.services where entry.service != service("a/http") {
                #expect(places[entry.service] == lsa.fragment)
            }
        }
        #expect(changed.flatMap(\.edges).map(\.name).contains(edge))
        #expect(changed.flatMap(\.services).map(\.service).contains(service("a/http")))
        #expect(changed.count == 2)
    }

    @Test("an LSA of ours that is newer than ours is overtaken")
    func overtaken() {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.services([service("s/p"): 1]), at: .milliseconds(1_000))
        let edge = EdgeName.link(dialer: site(1), name: link("l"))
        _ = instance.handle(
            .adjacency(neighbor: gateway(1), edges: [edge]),
            at: .milliseconds(1_200)
        )
        let strange = LSA(origin: gateway(0), sequence: 500, issued: wall(.milliseconds(1_000)))
        let outputs = instance.handle(
            .received(SignedLSA(lsa: strange, bytes: []), from: gateway(1)),
            at: .milliseconds(1_400)
        )
        #expect(signed(outputs).first?.sequence == 501)
    }
}
