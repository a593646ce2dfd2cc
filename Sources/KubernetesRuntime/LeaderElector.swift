package import KubernetesAPI
package import KubernetesClient
package import Logging
import NetworkModel
import Synchronization
import Telemetry

/// Numbers of a leader election.
package struct LeaderElectionSettings: Sendable {
    package var lease: ObjectKey
    /// Who we are; unique among the candidates, also over restarts.
    package var identity: String
    /// Others wait this long, after they last saw the lease change, before they take it.
    package var leaseDuration = Duration.seconds(15)
    /// Without a renewal for this long, the leader stops leading; shorter than `leaseDuration`.
    package var renewDeadline = Duration.seconds(10)
    /// Between two attempts, to renew or to acquire.
    package var retryPeriod = Duration.seconds(2)

    package init(lease: ObjectKey, identity: String) {
        self.lease = lease
        self.identity = identity
    }
}

/// Whether this process leads, to be asked before every write.
///
/// Holds until `renewDeadline` after the last renewal was *sent*, by the monotonic clock: also a process
/// that was stopped and goes on knows before its next write that its time is over. What is on its way
/// to the server at that moment is given up while nobody else can lead yet (`writeLimit`).
package final class Leadership: Sendable {
    /// By `time`.
    private let validUntil = Mutex<Duration?>(nil)
    private let time: Timeline
    /// How long after the end of ours nobody else can have the lease.
    private let margin: Duration

    package init(margin: Duration = .seconds(4), clock: any Clock<Duration> = ContinuousClock()) {
        self.margin = margin
        time = Timeline(clock)
    }

    package var isValid: Bool { timeLeft != nil }

    /// How long it still holds without another renewal; nil: it does not.
    package var timeLeft: Duration? {
        let now = time.now
        return validUntil.withLock { $0.flatMap { now < $0 ? $0 - now : nil } }
    }

    /// How long a write that begins now may take, so that it ends before another one can lead; nil: none may begin.
    package var writeLimit: Duration? { timeLeft.map { $0 + margin } }

    /// The time to count from when it is extended.
    var now: Duration { time.now }

    func extend(until end: Duration) { validUntil.withLock { $0 = end } }

    func end() { validUntil.withLock { $0 = nil } }
}

/// Why a process no longer leads.
package struct LeadershipLost: Error, Sendable, CustomStringConvertible {
    package let description: String
}

/// Takes part in an election by a Lease.
///
/// Guarantees: `lead` runs only while the lease is ours, and is canceled when that ends. Assumes clocks
/// that run at about the same speed, not that they agree. It does not fence by itself: give writers a
/// client that is `fenced(by:)` the `leadership`.
package struct LeaderElector: Sendable {
    package let leadership: Leadership
    package let health: LeaseHealth
    private let client: KubernetesClient
    private let settings: LeaderElectionSettings
    private let logger: Logger
    private let time: Timeline

    package init(
        client: KubernetesClient,
        settings: LeaderElectionSettings,
        logger: Logger,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        precondition(
            settings.renewDeadline < settings.leaseDuration
                && settings.retryPeriod < settings.renewDeadline
        )
        self.client = client
        self.settings = settings
        // A second of what is between the two is left for clocks that differ in speed.
        leadership = Leadership(
            margin: max(.zero, settings.leaseDuration - settings.renewDeadline - .seconds(1)),
            clock: clock
        )
        health = LeaseHealth(patience: settings.leaseDuration, clock: clock)
        time = Timeline(clock)
        self.logger = logger
    }

    /// Waits for the lease, leads, and returns when the task is canceled or `lead` returns.
    ///
    /// Called on an `OwnThread`, the lease is renewed there, whatever `lead` does on the threads of the pool.
    /// The lease is given back on the way out, so that the next one leads at once. Throws
    /// `LeadershipLost` when another has it or it could not be renewed in time: the process should end.
    package func run(lead: @escaping @Sendable () async throws -> Void) async throws {
        guard let lease = await acquire() else { return }
        logger.notice("leading", metadata: ["lease": "\(settings.lease)"])
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                // The work of a leader is not to hold up the renewal: that goes on where this runs.
                group.addTask(executorPreference: globalConcurrentExecutor) { try await lead() }
                group.addTask { try await keep(lease) }
                defer { group.cancelAll() }
                try await group.next()
            }
            leadership.end()
        } catch {
            leadership.end()
            if error is LeadershipLost { throw error }
            await giveBack()
            if !Task.isCancelled { throw error }
            return
        }
        await giveBack()
    }
}

// Acquiring.
extension LeaderElector {
    /// What another candidate wrote last, and when we first saw that.
    private struct Observation {
        var spec: Coordination.LeaseSpec?
        var since: Duration

        mutating func note(_ spec: Coordination.LeaseSpec, at now: Duration) {
            guard spec != self.spec else { return }
            self = Observation(spec: spec, since: now)
        }
    }

    /// Tries until the lease is ours; nil when the task was canceled before.
    private func acquire() async -> Coordination.Lease? {
        var observation = Observation(since: time.now)
        var lastProblem: String?
        while !Task.isCancelled {
            do {
                let lease = try await attempt(&observation)
                health.succeeded()
                if let lease { return lease }
                lastProblem = nil
            } catch {
                // Another candidate was faster: the lease is heard of all the same.
                if error.isConflict || error.isAlreadyExists {
                    health.succeeded()
                } else {
                    health.failed(error.description)
                }
                let level: Logger.Level = lastProblem == error.description ? .debug : .warning
                if !error.isConflict, !error.isAlreadyExists, !Task.isCancelled {
                    logger.log(level: level, "cannot stand for election: \(error)")
                }
                lastProblem = error.description
            }
            try? await time.sleep(for: pause())
        }
        return nil
    }

    private func attempt(
        _ observation: inout Observation
    ) async throws(APIError) -> Coordination.Lease? {
        let start = leadership.now
        guard var lease = try await bounded.find(Coordination.Lease.self, settings.lease) else {
            var fresh = Coordination.Lease()
            fresh.metadata = ObjectMeta(
                name: settings.lease.name,
                namespace: settings.lease.namespace
            )
            fresh.spec = spec(after: nil)
            return won(try await bounded.create(fresh), at: start)
        }
        observation.note(lease.spec, at: time.now)
        guard mayTake(lease.spec, observation) else { return nil }
        lease.spec = spec(after: lease.spec)
        return won(try await bounded.update(lease), at: start)
    }

    private func mayTake(_ spec: Coordination.LeaseSpec, _ observation: Observation) -> Bool {
        guard let holder = spec.holderIdentity, !holder.isEmpty, holder != settings.identity else {
            return true
        }
        let duration = spec.leaseDurationSeconds.map { Duration.seconds($0) }
        return time.now >= observation.since + (duration ?? settings.leaseDuration)
    }

    private func spec(after old: Coordination.LeaseSpec?) -> Coordination.LeaseSpec {
        let now = MicroTimestamp(Timestamp.now())
        let isOurs = old?.holderIdentity == settings.identity
        return Coordination.LeaseSpec {
            $0.holderIdentity = settings.identity
            $0.leaseDurationSeconds = Int32(clamping: settings.leaseDuration.components.seconds)
            $0.acquireTime = isOurs ? old?.acquireTime ?? now : now
            $0.renewTime = now
            let transitions = old?.leaseTransitions ?? 0
            $0.leaseTransitions = old == nil || isOurs ? transitions : transitions &+ 1
        }
    }

    private func won(
        _ lease: Coordination.Lease,
        at start: Duration
    ) -> Coordination.Lease {
        leadership.extend(until: start + settings.renewDeadline)
        return lease
    }
}

// Keeping and giving back.
extension LeaderElector {
    /// Renews until the task is canceled; throws when the lease is lost.
    private func keep(_ acquired: Coordination.Lease) async throws {
        var lease = acquired
        while true {
            // Neither a pause nor a request outlasts what is left: another begins soon after.
            try await time.sleep(for: min(settings.retryPeriod, try timeLeft()))
            var client = bounded
            client.timeout = min(client.timeout, try timeLeft())
            let start = leadership.now
            do {
                lease.spec = spec(after: lease.spec)
                lease = won(try await client.update(lease), at: start)
                health.succeeded()
            } catch {
                guard !Task.isCancelled else { throw CancellationError() }
                health.failed(error.description)
                logger.warning("the lease is not renewed: \(error)")
                if error.isConflict || error.isNotFound, let found = try? await present() {
                    guard found.spec.holderIdentity == settings.identity else {
                        let holder = found.spec.holderIdentity ?? "nobody"
                        throw LeadershipLost(description: "\(holder) holds the lease")
                    }
                    lease = found
                }
            }
        }
    }

    private func timeLeft() throws(LeadershipLost) -> Duration {
        guard let left = leadership.timeLeft else {
            throw LeadershipLost(description: "the lease was not renewed in time")
        }
        return left
    }

    private func present() async throws(APIError) -> Coordination.Lease {
        try await bounded.get(Coordination.Lease.self, settings.lease)
    }

    /// Empties the lease if it is ours; a failure only means that others wait longer.
    private func giveBack() async {
        // The task may be canceled already, and these requests are its last will.
        await Task {
            // Twice: a renewal that was canceled on its way may reach the server after it was asked.
            for _ in 0..<2 {
                guard var lease = try? await present(),
                    lease.spec.holderIdentity == settings.identity
                else { return }
                lease.spec.holderIdentity = ""
                lease.spec.leaseDurationSeconds = 1
                lease.spec.renewTime = MicroTimestamp(Timestamp.now())
                guard (try? await bounded.update(lease)) == nil else {
                    logger.notice("no longer leading", metadata: ["lease": "\(settings.lease)"])
                    return
                }
            }
        }.value
    }

    /// A client that gives up while there is still time for another attempt.
    private var bounded: KubernetesClient {
        var client = client
        client.timeout = settings.renewDeadline / 3
        return client
    }

    private func pause() -> Duration {
        settings.retryPeriod + settings.retryPeriod / 5 * Int.random(in: 0...5) / 5
    }
}
