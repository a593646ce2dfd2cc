import Dispatch

/// Runs tasks on a thread of their own, one step after the other: what must not wait for the threads of the process's
/// work, such as the renewal of a lease.
///
/// A serial queue of Dispatch gets its thread beside the pool that all other tasks share.
package final class OwnThread: TaskExecutor {
    private let queue: DispatchQueue

    /// The name shows in debuggers.
    package init(_ name: String) { queue = DispatchQueue(label: name, qos: .userInitiated) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
