import TestSupport
import Testing

@testable import Proxy

@Suite("The seats of a loop")
struct SeatsTests {
    @Test(
        "they have who was added and not removed, and a seat that is free is taken before a new one",
        arguments: Seeds.some()
    )
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var seats = Seats<Int>()
        var known: [UInt32: Int] = [:]
        var most = 0
        for member in 0..<2_000 {
            if random.chance(55) {
                let seat = seats.add(member)
                #expect(known.updateValue(member, forKey: seat) == nil)
                most = max(most, known.count)
                #expect(seat < most)
            } else if let seat = known.keys.randomElement(using: &random) {
                seats.remove(at: seat)
                known[seat] = nil
                #expect(seats[seat] == nil)
            }
        }
        #expect(seats.count == known.count && seats.isEmpty == known.isEmpty)
        #expect(seats.all == known.sorted { $0.key < $1.key }.map(\.value))
        #expect(known.allSatisfy { seats[$0.key] == $0.value })
        #expect(seats[UInt32.max] == nil)
    }
}
