import NetworkModel
import Routing
import TestSupport
import Testing

/// What a neighbor can make a gateway do with routing frames.
@Suite("Work for neighbors")
struct NeighborWorkTests {
    private let now = Instant.milliseconds(2_000)

    private func edge(_ index: Int) -> EdgeName {
        .link(dialer: site(0), name: link("l\(index)"))
    }

    /// A gateway with so many neighbors, which have answered all that it said; of `origins` others it holds what they say.
    private func instance(neighbors: Int, origins: Int = 0) -> RoutingInstance {
        var instance = RoutingInstance(origin: gateway(0))
        let costs = (1...neighbors).map { (link("l\($0)"), cost(1)) }
        _ = instance.handle(
            .configure(
                RoutingConfiguration(linkCosts: Dictionary(uniqueKeysWithValues: costs))
            ),
            at: .milliseconds(1_000)
        )
        for index in 1...neighbors {
            _ = instance.handle(
                .adjacency(neighbor: gateway(index), edges: [edge(index)]),
                at: .milliseconds(1_000)
            )
        }
        for signed in origins > 0 ? advertisements(origins) : [] {
            let outputs = instance.handle(
                .received(signed, from: gateway(1)),
                at: .milliseconds(1_500)
            )
            answer(outputs, to: &instance, at: .milliseconds(1_500))
        }
        // Nothing is due for a while then.
        var time = Instant.milliseconds(1_600)
        for _ in 0..<4 {
            time = time + .milliseconds(10)
            answer(instance.handle(.deadline, at: time), to: &instance, at: time)
        }
        return instance
    }

    /// Gateway 1, and `count` others that are linked with it.
    private func advertisements(_ count: Int) -> [SignedLSA] {
        let others = (1...count).map { index in
            (gateway(100 + index), EdgeName.link(dialer: site(1), name: link("o\(index)")))
        }
        var hub = others.map { LSAEdge(neighbor: $0.0, name: $0.1, cost: cost(1)) }
        hub.append(LSAEdge(neighbor: gateway(0), name: edge(1), cost: nil))
        let all =
            [(gateway(1), hub)]
            + others.map { ($0.0, [LSAEdge(neighbor: gateway(1), name: $0.1, cost: nil)]) }
        return all.map { origin, edges in
            let lsa = LSA(origin: origin, sequence: 1, issued: wall(now), edges: edges)
            return SignedLSA(lsa: lsa, bytes: Array("\(origin)".utf8))
        }
    }

    /// Every neighbor acknowledges what it is sent.
    private func answer(
        _ outputs: [RoutingOutput],
        to instance: inout RoutingInstance,
        at time: Instant
    ) {
        for case .send(let message, let neighbor) in outputs {
            switch message {
            case .summary(let summary):
                _ = instance.handle(
                    .summaryAcknowledged(number: summary.number, wanted: [], from: neighbor),
                    at: time
                )
            case .lsa(let bytes):
                let named = instance.headers.first { Array("\($0.key.origin)".utf8) == bytes }
                guard let named else { continue }
                _ = instance.handle(.acknowledged([named], from: neighbor), at: time)
            default: break
            }
        }
    }

    private func counts(_ outputs: [RoutingOutput]) -> (lsas: Int, answers: Int) {
        var (lsas, answers) = (0, 0)
        for case .send(let message, _) in outputs {
            switch message {
            case .lsa: lsas += 1
            case .summaryAcknowledgment: answers += 1
            default: break
            }
        }
        return (lsas, answers)
    }

    @Test("D4: a neighbor that says for ever that it holds nothing is sent the database once")
    func summariesWithoutEnd() {
        var instance = instance(neighbors: 2, origins: 40)
        var total = (lsas: 0, answers: 0)
        for number in 1...5_000 {
            let empty = LSASummary(number: UInt32(number), after: nil, through: nil, headers: [])
            let said = counts(instance.handle(.summary(empty, from: gateway(2)), at: now))
            total.lsas += said.lsas
            total.answers += said.answers
        }
        #expect(total.answers == RoutingLimits.comparisonBurst)
        #expect(total.lsas == 41, "\(total.lsas) of 41 advertisements were sent")
        // One that keeps to the pace is answered again, and another neighbor at any time.
        let other = LSASummary(number: 1, after: nil, through: nil, headers: [])
        #expect(counts(instance.handle(.summary(other, from: gateway(1)), at: now)).answers == 1)
        let later = now + .seconds(1)
        let next = LSASummary(number: 9_999, after: nil, through: nil, headers: [])
        #expect(counts(instance.handle(.summary(next, from: gateway(2)), at: later)).answers == 1)
    }

    @Test("D11: a routing frame costs the same with 2,000 neighbors as with 20")
    func frameAmongMany() {
        func cost(neighbors: Int) -> Duration {
            var instance = instance(neighbors: neighbors)
            let header = LSAHeader(key: LSAKey(origin: gateway(7), fragment: 0), sequence: 1)
            let clock = ContinuousClock()
            // The best of some: others run on this machine too.
            return (0..<7).map { _ in
                let start = clock.now
                for _ in 0..<200 {
                    _ = instance.handle(.acknowledged([header], from: gateway(1)), at: now)
                    _ = instance.nextDeadline
                }
                return clock.now - start
            }.min() ?? .zero
        }
        let (few, many) = (cost(neighbors: 20), cost(neighbors: 2_000))
        print("200 routing frames: \(few) with 20 neighbors, \(many) with 2,000")
        #expect(many < few * 10, "\(few) with 20 neighbors, \(many) with 2,000")
    }
}
