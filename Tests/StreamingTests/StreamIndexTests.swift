import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

@Suite("The index of streams")
struct StreamIndexTests {
    private final class Thing {}

    @Test(
        "it has what was put in and not taken out, like a dictionary would",
        arguments: Seeds.some()
    )
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var index = StreamIndex()
        var known: [StreamName: StreamIndex.Place] = [:]
        let things = (0..<20).map { _ in Thing() }
        for _ in 0..<2_000 {
            let ingress = ProxyID(site: site(Int.random(in: 0...2, using: &random)), instance: 1)
            let number = UInt64.random(in: 1...10, using: &random)
            let name = StreamName(ingress: ingress, number: number)
            let place = StreamIndex.Place(
                loop: Int.random(in: 0...1, using: &random),
                seat: 0,
                stream: ObjectIdentifier(things[Int.random(in: 0..<20, using: &random)])
            )
            if random.chance(60) {
                // Whoever has a name keeps it.
                #expect(index.insert(name, place) == ((known[name] ?? place) == place))
                if known[name] == nil { known[name] = place }
            } else {
                index.remove(name, place)
                if known[name] == place { known[name] = nil }
                if random.chance(50), let own = known[name] {
                    index.remove(name, own)
                    known[name] = nil
                }
            }
            #expect(index.find(name) == known[name])
            #expect(index.count == known.count)
        }
        for (name, place) in known { index.remove(name, place) }
        #expect(index.count == 0)
    }

    @Test("how a stream ended is known for a while; there are so many tombstones at the most")
    func tombstones() {
        var index = StreamIndex(graveLimit: 10)
        let (thing, begin) = (Thing(), Instant(nanoseconds: 1_000_000_000))
        let place = StreamIndex.Place(loop: 0, seat: 0, stream: ObjectIdentifier(thing))
        func name(_ number: UInt64) -> StreamName {
            StreamName(ingress: ProxyID(site: site(0), instance: 1), number: number)
        }
        func end(_ number: UInt64, at now: Instant) {
            index.insert(name(number), place)
            index.bury(name(number), place, .finished, until: now + .seconds(10), at: now)
        }
        end(1, at: begin)
        #expect(index.find(name(1)) == nil)
        #expect(index.verdict(name(1), at: begin + .seconds(9)) == .finished)
        #expect(index.verdict(name(1), at: begin + .seconds(10)) == nil)
        let isTaken = !index.insert(name(1), place)
        #expect(isTaken)
        end(2, at: begin + .seconds(11))
        #expect(index.graveCount == 1)
        for number in 3...100 { end(UInt64(number), at: begin + .seconds(12)) }
        #expect(index.graveCount == 10)
        #expect(index.verdict(name(100), at: begin + .seconds(12)) == .finished)
        #expect(index.verdict(name(89), at: begin + .seconds(12)) == nil)
        #expect(index.count == 0)
    }
}
