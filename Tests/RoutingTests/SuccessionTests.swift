import NetworkModel
import TestSupport
import Testing

@testable import Routing

/// Gateways that start again, and say what they were before.
@Suite("Succession")
struct SuccessionTests {
    private let name = EdgeName.link(dialer: site(1), name: link("l"))

    /// Gateway 0, linked with gateway 1 of each of `neighbors`.
    private func instance(_ neighbors: ProxyID...) -> RoutingInstance {
        var instance = RoutingInstance(origin: gateway(0))
        _ = instance.handle(.interest(.all), at: .milliseconds(0))
        for neighbor in neighbors {
            _ = instance.handle(.adjacency(neighbor: neighbor, edges: [name]), at: .milliseconds(1))
        }
        return instance
    }

    private func lsa(
        _ origin: ProxyID,
        _ sequence: UInt64,
        after predecessors: [ProxyID] = []
    ) -> SignedLSA {
        let lsa = LSA(
            origin: origin,
            sequence: sequence,
            issued: wall(.milliseconds(0)),
            predecessors: predecessors,
            edges: [LSAEdge(neighbor: gateway(0), name: name, cost: cost(2))],
            services: [LSAService(service: service("s/p"), endpoints: 1)]
        )
        return SignedLSA(lsa: lsa, bytes: [UInt8(sequence)])
    }

    private func ended(_ outputs: [RoutingOutput]) -> [Set<ProxyID>] {
        outputs.compactMap { output in
            guard case .routesChanged(_, let changes) = output, !changes.ended.isEmpty else {
                return nil
            }
            return changes.ended
        }
    }

    @Test("what a gateway was before has ended, is told once, and is not believed again")
    func ended() {
        let (old, new) = (gateway(1), gateway(1, 2))
        var instance = instance(old, new)
        _ = instance.handle(.received(lsa(old, 5), from: old), at: .milliseconds(2))
        _ = instance.handle(.deadline, at: .milliseconds(500))
        #expect(instance.table.gateways.keys.contains(old))

        var told = ended(
            instance.handle(.received(lsa(new, 1, after: [old]), from: new), at: .milliseconds(600))
        )
        told += ended(instance.handle(.deadline, at: .milliseconds(2_000)))
        #expect(told == [[old]])
        #expect(Set(instance.table.gateways.keys) == [new])
        #expect(instance.table.services[service("s/p")]?.first?.routes == [[new]])
        // Somebody kept what it said; what it says itself, if it lives, is no news either.
        for sequence in [5, 6] as [UInt64] {
            #expect(!instance.isNews(lsa(old, sequence).lsa.header))
            let at = Instant.milliseconds(2_000 + Int(sequence))
            _ = instance.handle(.received(lsa(old, sequence), from: new), at: at)
        }
        let again = lsa(new, 2, after: [old])
        told = ended(instance.handle(.received(again, from: new), at: .milliseconds(2_100)))
        told += ended(instance.handle(.deadline, at: .milliseconds(4_000)))
        #expect(told == [])
        #expect(Set(instance.table.gateways.keys) == [new])
    }

    @Test("a gateway advertises what it was, in its first fragment, until it ends")
    func advertised() {
        let old = (1...6).map { gateway(0, 10 + $0) }
        var instance = RoutingInstance(origin: gateway(0), predecessors: old)
        func signed(_ outputs: [RoutingOutput]) -> [LSA] {
            outputs.compactMap { if case .sign(let lsa) = $0 { lsa } else { nil } }
        }
        let first = signed(
            instance.handle(
                .credentials(certificateChain: [], agreementKey: []),
                at: .milliseconds(1)
            )
        )
        #expect(first.map(\.predecessors) == [Array(old.prefix(RoutingLimits.predecessors))])
        for lsa in first {
            _ = instance.handle(.signed(SignedLSA(lsa: lsa, bytes: [1])), at: .milliseconds(2))
        }
        let last = signed(instance.handle(.withdraw, at: .milliseconds(2_000)))
        #expect(last.map(\.predecessors) == [[]])
    }

    @Test("nobody is talked out of being there: not by a sibling that claims to have followed")
    func own() {
        let sibling = gateway(0, 2)
        var instance = instance(gateway(1))
        _ = instance.handle(.adjacency(neighbor: sibling, edges: [.mesh]), at: .milliseconds(2))
        let outputs = instance.handle(.services([service("t/p"): 1]), at: .milliseconds(3))
        for case .sign(let lsa) in outputs {
            _ = instance.handle(.signed(SignedLSA(lsa: lsa, bytes: [1])), at: .milliseconds(3))
        }
        var claim = lsa(sibling, 1, after: [gateway(0)])
        claim.lsa.edges = [LSAEdge(neighbor: gateway(0), name: .mesh, cost: nil)]
        var told = ended(instance.handle(.received(claim, from: sibling), at: .milliseconds(10)))
        told += ended(instance.handle(.deadline, at: .milliseconds(2_000)))
        #expect(told == [])
        #expect(instance.headers.contains { $0.key.origin == gateway(0) })
        #expect(instance.table.gateways.keys.contains(sibling))
    }
}
