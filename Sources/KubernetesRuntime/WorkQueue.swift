import DequeModule
import HeapModule
package import NetworkModel
import Synchronization

/// Keys to be worked on, each at most once at a time.
///
/// A key that is added while it waits is not added twice; one that is added while it is worked on
/// waits until that work is done, then comes again: no change is lost, none is worked on in parallel.
/// Keys that fail come back with growing waits and are never dropped. `run()` must be running for
/// delayed keys to come back.
package final class WorkQueue<Key: Hashable & Sendable>: Sendable {
    private struct State {
        /// In the order to be worked on; each is in `dirty` and not in `processing`.
        var queue: Deque<Key> = []
        /// Needs work.
        var dirty: Set<Key> = []
        /// Is worked on; when it is dirty too it is queued again by `done`.
        var processing: Set<Key> = []
        /// Comes back at that time; the earliest wish counts.
        var delayed: [Key: Duration] = [:]
        /// The same by time; entries that are in `delayed` no more are passed over.
        var alarms: Heap<Alarm> = []
        var failures: [Key: Backoff] = [:]
        var workers: Deque<(id: Int, continuation: CheckedContinuation<Key?, Never>)> = []
        var nextWorker = 0
    }

    private struct Alarm: Comparable {
        let due: Duration
        let key: Key

        static func < (left: Self, right: Self) -> Bool { left.due < right.due }
    }

    private let state = Mutex(State())
    /// Told when the first alarm may be another.
    private let changes = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    private let backoff: Backoff
    private let time: Timeline

    package init(backoff: Backoff = .item, clock: any Clock<Duration> = ContinuousClock()) {
        self.backoff = backoff
        time = Timeline(clock)
    }

    /// Keys that wait to be worked on now.
    package var count: Int { state.withLock { $0.queue.count } }

    /// Keys that wait for their time.
    package var delayedCount: Int { state.withLock { $0.delayed.count } }

    /// Times that are kept for them; bounded by their number.
    var alarmCount: Int { state.withLock { $0.alarms.count } }

    package func add(_ key: Key) {
        let next = state.withLock { state in
            state.delayed[key] = nil
            return Self.enqueue(key, &state)
        }
        next?.continuation.resume(returning: next?.key)
    }

    /// Adds the key later, unless it is due earlier anyway.
    package func add(_ key: Key, after delay: Duration) {
        guard delay > .zero else { return add(key) }
        let due = time.now + delay
        let isFirst = state.withLock { state in
            guard state.delayed[key].map({ due < $0 }) ?? true else { return false }
            state.delayed[key] = due
            state.alarms.insert(Alarm(due: due, key: key))
            // Wishes that were replaced or fulfilled early are thrown away once they are the most.
            if state.alarms.count > 2 * state.delayed.count + 64 {
                state.alarms = Heap(state.delayed.map { Alarm(due: $0.value, key: $0.key) })
            }
            return state.alarms.min?.due == due
        }
        if isFirst { changes.continuation.yield() }
    }

    /// Adds the key after a wait that grows with each failure in a row; gives that wait.
    @discardableResult
    package func addAfterFailure(_ key: Key) -> Duration {
        let wait = state.withLock { state in
            var backoff = state.failures[key] ?? self.backoff
            let wait = backoff.next()
            state.failures[key] = backoff
            return wait
        }
        add(key, after: wait)
        return wait
    }

    /// Forgets a key's failures.
    package func forgetFailures(_ key: Key) {
        state.withLock { $0.failures[key] = nil }
    }

    package func failures(of key: Key) -> Int {
        state.withLock { $0.failures[key]?.failures ?? 0 }
    }

    /// The next key to work on; nil when the task is canceled.
    ///
    /// Whoever gets a key calls `done`.
    package func next() async -> Key? {
        let id = state.withLock { state in
            state.nextWorker += 1
            return state.nextWorker
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> Key?? in
                    guard !Task.isCancelled else { return .some(nil) }
                    guard let key = Self.take(&state) else {
                        state.workers.append((id, continuation))
                        return .none
                    }
                    return .some(key)
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                state.workers.firstIndex { $0.id == id }.map { state.workers.remove(at: $0) }
            }
            waiting?.continuation.resume(returning: nil)
        }
    }

    /// Ends the work on a key.
    package func done(_ key: Key) {
        let next = state.withLock { state -> Handover? in
            precondition(state.processing.remove(key) != nil, "\(key) was not being worked on")
            guard state.dirty.contains(key) else { return nil }
            state.queue.append(key)
            return Self.handOver(&state)
        }
        next?.continuation.resume(returning: next?.key)
    }

    /// Brings delayed keys back in time, until the task is canceled; call it once.
    package func run() async {
        var sleeper: Task<Void, Never>?
        for await _ in changes.stream {
            sleeper?.cancel()
            guard let due = state.withLock({ $0.alarms.min?.due }) else { continue }
            sleeper = Task { [time] in
                guard (try? await time.sleep(for: due - time.now)) != nil else { return }
                self.ring()
            }
        }
        sleeper?.cancel()
    }
}

extension WorkQueue {
    private typealias Handover = (continuation: CheckedContinuation<Key?, Never>, key: Key)

    private static func enqueue(_ key: Key, _ state: inout State) -> Handover? {
        guard state.dirty.insert(key).inserted, !state.processing.contains(key) else { return nil }
        state.queue.append(key)
        return handOver(&state)
    }

    private static func take(_ state: inout State) -> Key? {
        guard let key = state.queue.popFirst() else { return nil }
        state.dirty.remove(key)
        state.processing.insert(key)
        return key
    }

    /// Gives the first key to the first idle worker, if there are both.
    private static func handOver(_ state: inout State) -> Handover? {
        guard !state.workers.isEmpty, let key = take(&state) else { return nil }
        return (state.workers.removeFirst().continuation, key)
    }

    /// Queues the keys whose time has come.
    private func ring() {
        let now = time.now
        let handovers = state.withLock { state in
            var handovers: [Handover] = []
            while let alarm = state.alarms.min, alarm.due <= now {
                state.alarms.removeMin()
                // Otherwise an earlier wish or an `add` has replaced this one.
                guard state.delayed[alarm.key] == alarm.due else { continue }
                state.delayed[alarm.key] = nil
                if let next = Self.enqueue(alarm.key, &state) { handovers.append(next) }
            }
            return handovers
        }
        for next in handovers { next.continuation.resume(returning: next.key) }
        changes.continuation.yield()
    }
}
