package import Logging

/// What a reconcile wants next.
package enum ReconcileResult: Sendable, Equatable {
    /// Nothing until something changes.
    case done
    /// Once more at that time, for something that no event tells.
    case again(after: Duration)
}

/// Why a reconcile did not reach its aim.
package enum ReconcileError: Error, Sendable, CustomStringConvertible {
    /// Try again, with growing waits.
    case retry(String)

    package var description: String {
        switch self {
        case .retry(let reason): reason
        }
    }
}

/// Brings the world of one object closer to what the object says.
///
/// Gets a key, never an event: what it does depends on the present state alone, so that a repeated
/// or a missed call does no harm.
package protocol Reconciler: Sendable {
    associatedtype Key: Hashable & Sendable

    func reconcile(_ key: Key) async throws(ReconcileError) -> ReconcileResult
}

/// Works on the keys of a queue with a reconciler, a few at a time.
package struct ControllerLoop<Work: Reconciler>: Sendable {
    package let name: String
    package let queue: WorkQueue<Work.Key>
    private let reconciler: Work
    private let workers: Int
    private let logger: Logger

    package init(
        name: String,
        queue: WorkQueue<Work.Key>,
        reconciler: Work,
        workers: Int = 2,
        logger: Logger
    ) {
        precondition(workers > 0)
        self.name = name
        self.queue = queue
        self.reconciler = reconciler
        self.workers = workers
        var logger = logger
        logger[metadataKey: "controller"] = "\(name)"
        self.logger = logger
    }

    /// Runs until the task is canceled; a reconcile under way is canceled with it.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await queue.run() }
            for _ in 0..<workers {
                group.addTask { await work() }
            }
        }
    }

    private func work() async {
        while let key = await queue.next() {
            let outcome: Result<ReconcileResult, ReconcileError>
            do {
                outcome = .success(try await reconciler.reconcile(key))
            } catch {
                outcome = .failure(error)
            }
            finish(key, outcome)
            // A reconcile that never waited would keep its thread from all others.
            await Task.yield()
        }
    }

    private func finish(_ key: Work.Key, _ outcome: Result<ReconcileResult, ReconcileError>) {
        // Before `done`: a change that arrives from now on must find the failures as they are.
        switch outcome {
        case .success(.done): queue.forgetFailures(key)
        case .success(.again(let delay)):
            queue.forgetFailures(key)
            queue.add(key, after: delay)
        case .failure(let reason):
            let wait = queue.addAfterFailure(key)
            // The first failures are mostly races that the next attempt settles.
            let level: Logger.Level = queue.failures(of: key) > 3 ? .warning : .debug
            logger.log(
                level: level,
                "\(reason)",
                metadata: ["key": "\(key)", "retryIn": "\(wait)"]
            )
        }
        queue.done(key)
    }
}
