import NetworkModel
import ProxyContract
import Synchronization

/// The newest snapshot, and those who wait for a newer one.
final class SnapshotStore: Sendable {
    private struct State {
        var history: SnapshotHistory
        var snapshot: ProxySnapshot { history.current }
        var isReady = false
        var waiters: [UInt64: Waiter] = [:]
        /// Waiters whose time was over before they waited.
        var expired: Set<UInt64> = []
        var nextWaiter: UInt64 = 0
    }

    private struct Waiter {
        let after: UInt64
        let continuation: CheckedContinuation<ProxySnapshot, Never>
    }

    private let state: Mutex<State>

    init(proxy: ProxyID) {
        state = Mutex(State(history: SnapshotHistory(proxy: proxy)))
    }

    var current: ProxySnapshot { state.withLock { $0.snapshot } }

    var isReady: Bool { state.withLock { $0.isReady } }

    func setReady(_ isReady: Bool) { state.withLock { $0.isReady = isReady } }

    /// Takes a snapshot without a version; it becomes the newest one if anything in it differs.
    func offer(_ snapshot: ProxySnapshot) {
        let (next, waiters) = state.withLock { state in
            guard state.history.take(snapshot) else { return (state.snapshot, [] as [Waiter]) }
            let next = state.snapshot
            let ready = state.waiters.filter { $0.value.after < next.version }
            for key in ready.keys { state.waiters[key] = nil }
            return (next, Array(ready.values))
        }
        for waiter in waiters { waiter.continuation.resume(returning: next) }
    }

    /// What a reader of `version` of the instance `proxy` lacks, once there is something, or after `limit`.
    func update(
        after version: UInt64,
        of proxy: ProxyID,
        limit: Duration
    ) async -> SnapshotUpdate {
        if proxy == current.proxy { _ = await wait(after: version, limit: limit) }
        return state.withLock { $0.history.update(since: version, of: proxy) }
    }

    /// The first snapshot with another version than `version`, or the newest one after `limit`.
    ///
    /// A version beyond the newest one is of an earlier life of this proxy: its reader is answered at once.
    func wait(after version: UInt64, limit: Duration) async -> ProxySnapshot {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timer = Task {
            // Canceled once the wait is over: nobody is left to release then.
            guard (try? await Task.sleep(for: limit)) != nil else { return }
            self.release(id)
        }
        defer {
            timer.cancel()
            state.withLock { _ = $0.expired.remove(id) }
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let snapshot: ProxySnapshot? = state.withLock { state in
                    guard state.snapshot.version == version, !state.expired.contains(id)
                    else { return state.snapshot }
                    state.waiters[id] = Waiter(after: version, continuation: continuation)
                    return nil
                }
                if let snapshot { continuation.resume(returning: snapshot) }
            }
        } onCancel: {
            release(id)
        }
    }

    private func release(_ id: UInt64) {
        let (waiter, snapshot) = state.withLock { state in
            let waiter = state.waiters.removeValue(forKey: id)
            if waiter == nil { state.expired.insert(id) }
            return (waiter, state.snapshot)
        }
        waiter?.continuation.resume(returning: snapshot)
    }
}
