import NetworkModel
import Testing

@testable import Proxy

@Suite("Timer queue", .timeLimit(.minutes(1)))
struct TimerQueueTests {
    @Test("whatever is set and canceled, timers fire by deadline and then in the order of setting")
    func order() throws {
        let loop = try EventLoop(index: 0, mailbox: Mailbox())
        var queue = TimerQueue()
        var random = SystemRandomNumberGenerator()
        var live: [(deadline: UInt64, number: Int, id: TimerID)] = []
        var fired: [Int] = []
        for number in 0..<5_000 {
            let deadline = UInt64.random(in: 1...500, using: &random)
            let id = queue.set(at: Instant(nanoseconds: deadline)) { _ in fired.append(number) }
            live.append((deadline, number, id))
            // More are canceled than stay: the heap is built anew many times.
            while live.count > 50 + number % 100 {
                let gone = live.remove(at: Int.random(in: 0..<live.count, using: &random))
                queue.cancel(gone.id)
            }
            #expect(queue.count == live.count)
        }
        while let action = queue.popDue(at: Instant(nanoseconds: 500)) { action(loop) }
        let expected = live.sorted { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
        #expect(fired == expected.map(\.number))
        #expect(queue.count == 0 && queue.nextDeadline == nil)
    }
}
