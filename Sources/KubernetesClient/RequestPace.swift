import Synchronization

/// A common limit for the requests of whoever shares it: a burst at once, then so many a second, each in its turn.
///
/// It keeps a controller that has much to do at once from taking the API server's time from everybody else.
package final class RequestPace: Sendable {
    /// Between two requests, once the burst is spent.
    private let interval: Duration
    private let burst: Int
    /// When all that was allowed so far would have been asked at the steady pace.
    private let spent: Mutex<ContinuousClock.Instant>

    package init(perSecond: Int, burst: Int) {
        precondition(perSecond > 0 && burst > 0)
        interval = .seconds(1) / perSecond
        self.burst = burst
        spent = Mutex(.now)
    }

    /// Waits for the next turn; at once when the task is canceled.
    package func turn() async {
        let due = reserve(at: .now)
        guard due > .now else { return }
        try? await Task.sleep(until: due, clock: .continuous)
    }

    /// When the request may be sent that is asked for at `now`; that turn is taken then.
    func reserve(at now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        spent.withLock { spent in
            spent = max(spent, now - interval * burst) + interval
            return max(now, spent)
        }
    }
}
