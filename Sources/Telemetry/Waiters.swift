import Synchronization

/// Bounds how many requests may wait at the same time.
package final class Waiters: Sendable {
    private let limit: Int
    private let count = Mutex(0)

    package init(limit: Int) { self.limit = limit }

    /// Does `work` if there is room, else answers nil at once.
    package func wait<Value: Sendable>(_ work: () async -> Value) async -> Value? {
        let hasRoom = count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard hasRoom else { return nil }
        defer { count.withLock { $0 -= 1 } }
        return await work()
    }
}
