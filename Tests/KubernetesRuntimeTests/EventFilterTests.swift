import KubernetesAPI
import NetworkModel
import Testing

@testable import KubernetesRuntime

@Suite("Events that repeat")
struct EventFilterTests {
    private func note(
        _ object: String,
        _ text: String,
        reason: String = "LinkLost",
        after seconds: Int64 = 0
    ) -> EventNote {
        var reference = ObjectReference()
        reference.kind = "Link"
        reference.namespace = "n"
        reference.name = object
        reference.uid = "uid-\(object)"
        return EventNote(
            regarding: reference,
            kind: .warning,
            reason: reason,
            action: reason,
            text: text,
            time: Timestamp(seconds: 1_800_000_000 + seconds)
        )
    }

    @Test("K16: ten that differ in what they say are told, then one for the others, then none")
    func gathered() {
        var filter = EventFilter()
        let told = (0..<20).compactMap { filter.pass(note("a", "lost \($0)"))?.text }
        #expect(told.prefix(10) == (0..<10).map { "lost \($0)" }[...])
        #expect(told.count == 11)
        #expect(told.last?.hasSuffix("not told again for now: lost 10") == true)
    }

    @Test("K16: after ten minutes they are told again")
    func later() {
        var filter = EventFilter()
        for number in 0..<20 { _ = filter.pass(note("a", "lost \(number)")) }
        #expect(filter.pass(note("a", "lost", after: 599)) == nil)
        #expect(filter.pass(note("a", "lost", after: 600))?.text == "lost")
    }

    @Test("K16: an object has 25 at once, then one in five minutes; others have theirs")
    func burst() {
        var filter = EventFilter()
        let told = (0..<60).count { filter.pass(note("a", "x", reason: "R\($0)")) != nil }
        #expect(told == 25)
        #expect(filter.pass(note("b", "x")) != nil)
        #expect(filter.pass(note("a", "x", reason: "S", after: 299)) == nil)
        #expect(filter.pass(note("a", "x", reason: "T", after: 300)) != nil)
        #expect(filter.pass(note("a", "x", reason: "U", after: 301)) == nil)
        // After two hours and more the burst is there again.
        let again = (0..<60).count {
            filter.pass(note("a", "x", reason: "V\($0)", after: 300 + 25 * 300)) != nil
        }
        #expect(again == 25)
    }

    @Test("K16: links that flap all the time leave a bounded number of Events")
    func flapping() {
        var filter = EventFilter()
        var told = 0
        for link in 0..<10 {
            for second in 0..<600 {
                let reason = second.isMultiple(of: 2) ? "LinkLost" : "LinkConnected"
                let note = note("\(link)", "\(second)", reason: reason, after: Int64(second))
                if filter.pass(note) != nil { told += 1 }
            }
        }
        // 600 flaps of each within ten minutes: ten and one of either kind.
        #expect(told == 10 * 22)
    }

    @Test("K16: what is remembered has a bound")
    func memory() {
        var filter = EventFilter()
        for number in 0..<10_000 {
            #expect(filter.pass(note("\(number)", "x")) != nil)
        }
        #expect(filter.count <= EventFilter.limit)
    }
}
