import Glibc
import NetworkModel
import Synchronization
import Testing

@testable import Proxy

/// Waits until `condition` holds; false when it did not within `timeout`.
func eventually(
    within timeout: Duration = .seconds(10),
    _ condition: () -> Bool
) -> Bool {
    let limit = EventLoop.clock() + timeout
    while !condition() {
        guard EventLoop.clock() < limit else { return false }
        usleep(1000)
    }
    return true
}

/// A value that tests and loops share.
final class Shared<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }

    var value: Value { storage.withLock { $0 } }

    func update(_ change: (inout sending Value) -> Void) { storage.withLock { change(&$0) } }
}

extension EventLoopThread {
    /// Runs `body` on the loop and waits for its answer.
    func run<Answer: Sendable>(_ body: @escaping @Sendable (EventLoop) -> Answer) -> Answer? {
        let answer = Shared<Answer?>(nil)
        mailbox.post { loop in
            let value = body(loop)
            answer.update { $0 = value }
        }
        _ = eventually { answer.value != nil }
        return answer.value
    }
}

/// Two loops for one test, stopped when it ends.
func withLoops<Result>(
    _ body: (EventLoopThread, EventLoopThread) throws -> Result
) throws -> Result {
    let first = try EventLoopThread(index: 0)
    let second = try EventLoopThread(index: 1)
    defer {
        first.stop()
        second.stop()
    }
    return try body(first, second)
}

let loopback = IPAddress.v4(0x7F00_0001)
