import NetworkModel
import ProxyContract
import Wire

/// What heartbeats say about a neighbor: whether it lives, whether it hears us, how far it is.
///
/// A value without a clock: times are arguments.
struct LaneLiveness: Sendable {
    /// Bounds of a lane's retransmission time-out: below, as the kernel's own; above, so that a neighbor that
    /// reports absurd times cannot put off its own end for ever.
    private static let timeoutRange = Duration.milliseconds(200)...(.seconds(3))
    /// A neighbor that sends, but echoes nothing, is given this much longer than a silent one.
    private static let unansweredMin = Duration.seconds(3)

    /// When bytes came last.
    var lastReceived: Instant
    /// When an echo of a newer heartbeat of ours came last.
    private(set) var lastAnswered: Instant
    /// The oldest heartbeat that was not answered yet.
    private var pending: Pending?
    /// The time stamp of the newest heartbeat.
    private var newest: UInt64 = 0
    /// When the neighbor's kernel acknowledged bytes last.
    private var lastDelivered: Instant

    private struct Pending {
        let sent: UInt64
        /// Where it ends among the bytes of the lane.
        let end: UInt64
        /// When the neighbor's kernel had it; nil: it still waits behind what was sent before.
        var leftAt: Instant?
    }
    /// The interval has passed: a heartbeat leaves with the next flush.
    var owesHeartbeat = false
    /// Smoothed as in RFC 6298; the neighbor's word, since it says for how long it held what it echoes.
    private var smoothed: Duration?
    private var variation = Duration.zero
    /// What this side's kernel has measured by itself.
    private(set) var least: Duration?
    private var most: Duration?
    /// Our newest time stamp that came back.
    private var echoed: UInt64 = 0
    /// The neighbor's newest time stamp, and when it came; 0: none.
    private var neighborSent: UInt64 = 0
    private var neighborSentAt: Instant

    init(at now: Instant) {
        lastReceived = now
        lastAnswered = now
        lastDelivered = now
        neighborSentAt = now
    }

    /// Begins anew, when the handshake is done.
    mutating func start(at now: Instant) {
        self = LaneLiveness(at: now)
        owesHeartbeat = true
    }

    /// The heartbeat that is owed.
    mutating func heartbeat(at now: Instant) -> Heartbeat {
        owesHeartbeat = false
        newest = now.nanoseconds
        let held = max(.zero, now - neighborSentAt).wholeNanoseconds
        return Heartbeat(
            sent: now.nanoseconds,
            echo: neighborSent,
            held: neighborSent == 0 ? 0 : UInt64(held)
        )
    }

    /// The newest heartbeat was written, as the bytes of the lane before `end`.
    mutating func wrote(upTo end: UInt64) {
        guard pending == nil, newest > echoed else { return }
        pending = Pending(sent: newest, end: end)
    }

    /// The neighbor's kernel has `count` bytes of the lane, the last of which it acknowledged at `advancedAt`.
    mutating func delivered(_ count: UInt64, advancedAt: Instant, at now: Instant) {
        lastDelivered = max(lastDelivered, advancedAt)
        if let pending, pending.leftAt == nil, count >= pending.end { self.pending?.leftAt = now }
    }

    /// What came was not read for a while, by this side's choice: the neighbor is not judged for it.
    mutating func resumed(at now: Instant) {
        lastReceived = now
        lastAnswered = now
    }

    mutating func received(_ heartbeat: Heartbeat, at now: Instant) {
        neighborSent = heartbeat.sent
        neighborSentAt = now
        // Time stamps that we cannot have sent are of no use.
        guard heartbeat.echo > echoed, heartbeat.echo <= now.nanoseconds else { return }
        echoed = heartbeat.echo
        lastAnswered = now
        if let pending, echoed >= pending.sent { self.pending = nil }
        let passed = now.nanoseconds - heartbeat.echo
        guard heartbeat.held <= passed else { return }
        sample(.nanoseconds(Int64(clamping: passed - heartbeat.held)))
    }

    /// The kernel's own figures, which the neighbor's word cannot exceed in either direction.
    mutating func bound(least: Duration?, most: Duration?) {
        self.least = least ?? self.least
        self.most = most ?? self.most
    }

    /// How far the neighbor is: smoothed, and within what the kernel has measured; nil before the first answer.
    var roundTrip: Duration? {
        guard let smoothed else { return nil }
        let upper = most.map { $0 + Self.workingTime } ?? smoothed
        return max(min(smoothed, upper), least ?? .zero)
    }

    /// What a heartbeat may take longer than what the kernels exchange: both loops have other things to do.
    private static let workingTime = Duration.milliseconds(5)

    private mutating func sample(_ time: Duration) {
        guard let smoothed else {
            self.smoothed = time
            variation = time / 2
            return
        }
        let error = time > smoothed ? time - smoothed : smoothed - time
        variation = (variation * 3 + error) / 4
        self.smoothed = (smoothed * 7 + time) / 8
    }

    /// RFC 6298's, with the bounds above; before the first answer the kernel's.
    ///
    /// Else a path on which an answer takes longer than the heartbeats that may be missed would never come up.
    var retransmissionTimeout: Duration {
        let timeout = smoothed.map { $0 + variation * 4 } ?? most ?? .zero
        return min(max(timeout, Self.timeoutRange.lowerBound), Self.timeoutRange.upperBound)
    }

    /// How long nothing may come before the neighbor is judged dead.
    func silenceMax(_ health: HealthParameters) -> Duration {
        max(health.heartbeat * health.misses, retransmissionTimeout * 3)
    }

    /// When to judge next.
    func deadline(_ health: HealthParameters) -> Instant {
        let silence = silenceMax(health)
        return min(lastReceived + silence, unansweredSince + Self.unansweredMax(silence))
    }

    /// Since when an answer is missing.
    ///
    /// A heartbeat that waits behind our own bytes cannot be answered: until it has left, the neighbor lives for as long as
    /// its kernel goes on taking them.
    private var unansweredSince: Instant {
        guard let pending else { return lastAnswered }
        return max(lastAnswered, pending.leftAt ?? lastDelivered)
    }

    private static func unansweredMax(_ silence: Duration) -> Duration {
        max(unansweredMin, silence * 3)
    }

    /// The judgment at `now` by a loop that came `lateness` late; nil: the neighbor lives.
    func judge(
        at now: Instant,
        lateness: Duration,
        _ health: HealthParameters
    ) -> LaneCloseReason? {
        let limit = silenceMax(health)
        let silence = now - lastReceived
        if silence - lateness >= limit { return .silent(silence) }
        let unanswered = now - unansweredSince
        if unanswered - lateness >= Self.unansweredMax(limit) { return .unanswered(unanswered) }
        return nil
    }
}

extension Lane {
    /// Starts heartbeats and the judgment of the neighbor's.
    func startLiveness() {
        liveness.start(at: loop.now)
        look()
        resumeLiveness()
    }

    func resumeLiveness() {
        liveness.owesHeartbeat = true
        requestFlush()
        beat()
        watch()
    }

    /// A turn of a loop that is flooded may last longer than the neighbor waits: the heartbeat leaves in the midst of it.
    private func beat() {
        heartbeat = loop.pulse(after: health.heartbeat) { [self] _ in
            beat()
            look()
            liveness.owesHeartbeat = true
            flush()
        }
    }

    /// Judges at the deadline, which moves on with everything that comes.
    private func watch() {
        // Never at once: a deadline that has passed while the loop was late is judged in a later turn.
        let next = max(liveness.deadline(health), loop.now + .milliseconds(10))
        deadline = loop.schedule(at: next) { [self] loop in
            guard isEstablished else { return }
            // What is not read says nothing.
            guard !isPaused, !isPutOff else {
                liveness.resumed(at: loop.now)
                return watch()
            }
            look()
            if let reason = liveness.judge(at: loop.now, lateness: loop.lateness, health) {
                end(reason)
            } else {
                watch()
            }
        }
    }
}
