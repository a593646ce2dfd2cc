import NetworkModel
import Routing
import Testing

@testable import SiteControl

@Suite("Advertisements that wait")
struct LSAArrivalsTests {
    private func proxy(_ number: UInt64) -> ProxyID {
        ProxyID(site: SiteID(publicKeyDigest: Array(repeating: 1, count: 32)), instance: number)
    }

    private func arrival(_ sequence: UInt64, from neighbor: UInt64) -> LSAArrival {
        let key = LSAKey(origin: proxy(9), fragment: 0)
        return LSAArrival(
            header: LSAHeader(key: key, sequence: sequence),
            bytes: [],
            neighbor: proxy(neighbor)
        )
    }

    @Test("D3: neighbors take turns, so that one with many holds up no other's")
    func turns() {
        var arrivals = LSAArrivals()
        for sequence in 1...10 { _ = arrivals.append(arrival(UInt64(sequence), from: 1)) }
        _ = arrivals.append(arrival(99, from: 2))
        var order: [UInt64] = []
        while let next = arrivals.next() { order.append(next.header.sequence) }
        #expect(order == [1, 99, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        #expect(arrivals.isEmpty)
    }

    @Test("D3: a neighbor has no more waiting than it may have unacknowledged")
    func bound() {
        var arrivals = LSAArrivals()
        var taken = 0
        for sequence in 1...1_000 where arrivals.append(arrival(UInt64(sequence), from: 1)) {
            taken += 1
        }
        #expect(taken == RoutingLimits.unacknowledged)
        let other = arrivals.append(arrival(1, from: 2))
        #expect(other)
    }
}
