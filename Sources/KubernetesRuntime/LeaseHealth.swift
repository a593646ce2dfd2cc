import Synchronization

/// Whether this process can take part in the election: a standby that cannot is none.
package final class LeaseHealth: Sendable {
    private struct State {
        var failure: String?
        /// When the lease was read or written last; the start, while it never was.
        var lastSuccess: Duration
        var wasHeard = false
    }

    private let state: Mutex<State>
    /// For so long failures are passed over: as long as a lease holds without its holder.
    private let patience: Duration
    private let time: Timeline

    package init(patience: Duration, clock: any Clock<Duration> = ContinuousClock()) {
        self.patience = patience
        time = Timeline(clock)
        state = Mutex(State(lastSuccess: time.now))
    }

    /// The lease was read or written.
    package func succeeded() {
        let now = time.now
        state.withLock { $0 = State(lastSuccess: now, wasHeard: true) }
    }

    package func failed(_ reason: String) { state.withLock { $0.failure = reason } }

    /// Why this process could not lead now; nil when it could.
    package var problem: String? {
        let now = time.now
        return state.withLock { state in
            guard let failure = state.failure else {
                return state.wasHeard ? nil : "the lease has not been read yet"
            }
            let isPassing = state.wasHeard && now - state.lastSuccess < patience
            return isPassing ? nil : "the lease cannot be read or written: \(failure)"
        }
    }
}
