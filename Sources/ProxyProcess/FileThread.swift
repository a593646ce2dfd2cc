import Dispatch

/// Runs the work of tasks on a thread of its own: for what reads and writes files.
///
/// A disk may take minutes for one call. Whoever waits for it here keeps nothing else of the process waiting.
final class FileThread: TaskExecutor {
    private let queue: DispatchQueue

    init(_ name: String) { queue = DispatchQueue(label: "tieline.\(name)") }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Does `work` later, after what was given before.
    func later(_ work: @escaping @Sendable () -> Void) { queue.async(execute: work) }

    func later(after delay: DispatchTimeInterval, _ work: @escaping @Sendable () -> Void) {
        queue.asyncAfter(deadline: .now() + delay, execute: work)
    }

    /// Waits until what was given before is done; it blocks the thread.
    func finish() { queue.sync {} }
}
