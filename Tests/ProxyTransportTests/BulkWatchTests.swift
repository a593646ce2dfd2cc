import NetworkModel
import Testing

@testable import Proxy

@Suite("A look at a lane for bulk")
struct BulkWatchTests {
    @Test("it is closed after ten empty seconds, and its streams are looked at every ten")
    func looks() {
        var now = Instant(nanoseconds: 1)
        var watch = BulkWatch(at: now)
        var steps: [BulkWatch.Step] = []
        func look(isEmpty: Bool, seconds: Int) {
            for _ in 0..<seconds {
                now = now + .seconds(1)
                let step = watch.look(isEmpty: isEmpty, at: now)
                if step != .nothing { steps.append(step) }
            }
        }
        look(isEmpty: true, seconds: 9)
        look(isEmpty: false, seconds: 1)
        #expect(steps == [.rest])
        look(isEmpty: false, seconds: 20)
        #expect(steps == [.rest, .rest, .rest])
        look(isEmpty: true, seconds: 10)
        #expect(steps.count == 3)
        look(isEmpty: true, seconds: 1)
        #expect(steps.last == .close)
    }
}
