import Logging
import NetworkModel
import NetworkTestSupport
import Synchronization
import TestSupport
import Testing

@testable import KubernetesRuntime

@Suite("Backoff")
struct BackoffTests {
    @Test("waits double up to the maximum")
    func doubling() {
        var backoff = Backoff(base: .milliseconds(800), maximum: .seconds(30))
        let waits = (0..<8).map { _ in backoff.next() }
        #expect(
            waits
                == [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000].map { .milliseconds($0) }
        )
        backoff.reset()
        #expect(backoff.next() == .milliseconds(800))
    }

    @Test("an item's waits reach 30 s and stay there, some shorter than others")
    func items() {
        var backoff = Backoff.item
        let waits = (0..<100).map { _ in backoff.next(chance: 0) }
        #expect(waits[0] == .milliseconds(5) && waits[10] == .milliseconds(5120))
        #expect(waits[12] == .milliseconds(20_480) && waits[13] == .seconds(30))
        #expect(waits[99] == .seconds(30))
        #expect(backoff.next(chance: 1) < .seconds(25))
    }

    @Test("chance only shortens a wait")
    func jitter() {
        var backoff = Backoff(base: .seconds(1), maximum: .seconds(8), jitter: 0.5)
        #expect(backoff.next(chance: 0) == .seconds(1))
        #expect(backoff.next(chance: 0.5) == .milliseconds(1500))
        #expect(backoff.next(chance: 1) == .seconds(2))
    }
}

@Suite("WorkQueue", .timeLimit(.minutes(1)))
struct WorkQueueTests {
    /// A queue whose delayed keys come back for as long as `body` runs.
    private func withQueue(
        clock: any Clock<Duration> = ContinuousClock(),
        _ body: (WorkQueue<String>) async throws -> Void
    ) async rethrows {
        let queue = WorkQueue<String>(clock: clock)
        let task = Task { await queue.run() }
        defer { task.cancel() }
        try await body(queue)
    }

    @Test("a key that waits is not added twice")
    func once() async {
        await withQueue { queue in
            for key in ["a", "b", "a", "a"] { queue.add(key) }
            #expect(queue.count == 2)
            #expect(await queue.next() == "a")
            #expect(await queue.next() == "b")
            #expect(queue.count == 0)
        }
    }

    @Test("wishes for later that are fulfilled early leave nothing behind")
    func alarms() async {
        await withQueue { queue in
            for turn in 0..<1000 {
                queue.add("a", after: .seconds(60 + turn % 7))
                queue.add("a")
                #expect(await queue.next() == "a")
                queue.done("a")
            }
            #expect(queue.delayedCount <= 1 && queue.alarmCount < 100)
            queue.add("b", after: .milliseconds(20))
            #expect(await queue.next() == "b")
        }
    }

    @Test("a key that is added while it is worked on comes again, and only after")
    func again() async {
        await withQueue { queue in
            queue.add("a")
            _ = await queue.next()
            queue.add("a")
            queue.add("a")
            #expect(queue.count == 0)
            queue.done("a")
            #expect(queue.count == 1)
            #expect(await queue.next() == "a")
            queue.done("a")
            #expect(queue.count == 0)
        }
    }

    @Test("a waiting worker gets a key at once; a canceled one gets none and takes none")
    func workers() async {
        await withQueue { queue in
            let patient = Task { await queue.next() }
            let impatient = Task { await queue.next() }
            impatient.cancel()
            #expect(await impatient.value == nil)
            queue.add("a")
            #expect(await patient.value == "a")
        }
    }

    @Test("a delayed key comes back, at the earliest of its times")
    func delays() async {
        let clock = ManualClock()
        await withQueue(clock: clock) { queue in
            queue.add("a", after: .seconds(100))
            queue.add("a", after: .seconds(10))
            queue.add("a", after: .seconds(50))
            #expect(queue.count == 0 && queue.delayedCount == 1)
            #expect(await eventually { clock.waits == [.seconds(10)] })
            clock.advance(by: .seconds(10))
            #expect(await queue.next() == "a")
            #expect(queue.delayedCount == 0)
            queue.done("a")
            // The other wishes were for the same.
            clock.advance(by: .seconds(100))
            queue.add("b")
            #expect(await queue.next() == "b")
            #expect(queue.count == 0 && clock.waits.isEmpty)
        }
    }

    @Test("adding a key now replaces its delay")
    func overtaking() async {
        await withQueue { queue in
            queue.add("a", after: .milliseconds(50))
            queue.add("a")
            #expect(await queue.next() == "a")
            queue.done("a")
            queue.add("b", after: .milliseconds(100))
            #expect(await queue.next() == "b")
            #expect(queue.count == 0)
        }
    }

    @Test("failures in a row make longer waits until they are forgotten; no key is dropped")
    func failures() async {
        await withQueue { queue in
            let waits = (0..<20).map { _ in queue.addAfterFailure("a") }
            #expect(waits.allSatisfy { $0 > .milliseconds(3) && $0 <= .seconds(30) })
            #expect(waits[19] >= .seconds(24) && waits[0] <= .milliseconds(5))
            #expect(queue.failures(of: "a") == 20 && queue.failures(of: "b") == 0)
            queue.forgetFailures("a")
            #expect(queue.addAfterFailure("a") <= .milliseconds(5))
            #expect(await queue.next() == "a")
        }
    }

    @Test("with many workers and adders no change is lost and no key is worked on twice at once")
    func stress() async {
        let log = Log()
        await withQueue { queue in
            await withTaskGroup(of: Void.self) { group in
                let workers = (0..<4).map { _ in
                    Task {
                        while let key = await queue.next() {
                            log.begin(key)
                            await Task.yield()
                            log.end(key)
                            queue.done(key)
                        }
                    }
                }
                for adder in 0..<4 {
                    group.addTask {
                        for number in 0..<500 {
                            log.want("\(number % 7)")
                            queue.add("\(number % 7)")
                            if number % 50 == adder { await Task.yield() }
                        }
                    }
                }
                await group.waitForAll()
                #expect(await eventually { log.isSettled && queue.count == 0 })
                for worker in workers { worker.cancel() }
            }
        }
        #expect(log.overlaps == 0)
    }
}

/// What was wanted and worked on.
private final class Log: Sendable {
    private struct State {
        var wanted: [String: Int] = [:]
        var seen: [String: Int] = [:]
        var busy: Set<String> = []
        var overlaps = 0
    }

    private let state = Mutex(State())

    var overlaps: Int { state.withLock { $0.overlaps } }
    /// Each key was worked on after it was last wanted.
    var isSettled: Bool { state.withLock { $0.busy.isEmpty && $0.seen == $0.wanted } }

    func want(_ key: String) { state.withLock { $0.wanted[key, default: 0] += 1 } }

    func begin(_ key: String) {
        state.withLock { state in
            if !state.busy.insert(key).inserted { state.overlaps += 1 }
            state.seen[key] = state.wanted[key]
        }
    }

    func end(_ key: String) { state.withLock { _ = $0.busy.remove(key) } }
}

@Suite("ControllerLoop", .timeLimit(.minutes(1)))
struct ControllerLoopTests {
    private final class Script: Reconciler {
        private let outcomes: Mutex<[Result<ReconcileResult, ReconcileError>]>
        private let counter = Mutex(0)

        init(_ outcomes: [Result<ReconcileResult, ReconcileError>]) {
            self.outcomes = Mutex(outcomes)
        }

        var calls: Int { counter.withLock { $0 } }

        func reconcile(_ key: String) async throws(ReconcileError) -> ReconcileResult {
            counter.withLock { $0 += 1 }
            let outcome = outcomes.withLock { $0.isEmpty ? .success(.done) : $0.removeFirst() }
            return try outcome.get()
        }
    }

    private func calls(
        _ outcomes: [Result<ReconcileResult, ReconcileError>],
        until expected: Int
    ) async -> (calls: Int, failures: Int) {
        let script = Script(outcomes)
        let queue = WorkQueue<String>()
        let loop = ControllerLoop(
            name: "test",
            queue: queue,
            reconciler: script,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let task = Task { await loop.run() }
        queue.add("a")
        _ = await eventually { script.calls == expected && queue.count == 0 }
        task.cancel()
        await task.value
        return (script.calls, queue.failures(of: "a"))
    }

    @Test("a key that is done is left alone")
    func done() async { #expect(await calls([], until: 1) == (1, 0)) }

    @Test("a failed key is tried again, and success forgets its failures")
    func retry() async {
        let failure: Result<ReconcileResult, ReconcileError> = .failure(.retry("not yet"))
        #expect(await calls([failure, failure, failure], until: 4) == (4, 0))
    }

    @Test("a reconcile can ask to come again")
    func later() async {
        #expect(await calls([.success(.again(after: .milliseconds(10)))], until: 2) == (2, 0))
    }
}
