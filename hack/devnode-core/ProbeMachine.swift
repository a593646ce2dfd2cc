package import KubernetesAPI

/// The counting behind one probe of one container; time is counted by the caller.
package struct ProbeMachine: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable {
        /// Neither threshold was reached yet.
        case undecided
        case passing
        case failing
    }

    package let initialDelay: Duration
    package let period: Duration
    package let timeout: Duration
    let successThreshold: Int
    let failureThreshold: Int
    package private(set) var verdict: Verdict = .undecided
    private var successes = 0
    private var failures = 0
    private var sinceFailureCounted: Duration?

    package init(_ probe: Core.Probe) {
        initialDelay = .seconds(Int(probe.initialDelaySeconds ?? 0))
        period = .seconds(max(1, Int(probe.periodSeconds ?? 10)))
        timeout = .seconds(max(1, Int(probe.timeoutSeconds ?? 1)))
        successThreshold = max(1, Int(probe.successThreshold ?? 1))
        failureThreshold = max(1, Int(probe.failureThreshold ?? 3))
    }

    /// How long to wait before the next attempt.
    ///
    /// Until the first verdict it is asked more often than a real node does, so that a container that
    /// is up is known to be up; failures still count once per period.
    package var interval: Duration {
        verdict == .undecided ? min(period, .milliseconds(100)) : period
    }

    /// Takes one result, `elapsed` after the one before; returns the verdict after it.
    package mutating func record(success: Bool, after elapsed: Duration) -> Verdict {
        if success {
            failures = 0
            sinceFailureCounted = nil
            successes += 1
            if successes >= successThreshold { verdict = .passing }
            return verdict
        }
        successes = 0
        if let waited = sinceFailureCounted, verdict == .undecided {
            sinceFailureCounted = waited + elapsed
            guard waited + elapsed >= period else { return verdict }
        }
        sinceFailureCounted = .zero
        failures += 1
        if failures >= failureThreshold { verdict = .failing }
        return verdict
    }
}

/// The wait before a container is started again: doubles up to a limit, forgotten after a long run.
package struct RestartBackoff: Sendable, Equatable {
    package let initial: Duration
    package let limit: Duration
    private var current: Duration?

    package init(initial: Duration, limit: Duration) {
        self.initial = initial
        self.limit = limit
    }

    /// The wait after a run of the given length.
    package mutating func next(afterRunning ran: Duration) -> Duration {
        if ran >= limit * 2 { current = nil }
        let wait = current.map { min($0 * 2, limit) } ?? initial
        current = wait
        return wait
    }
}
