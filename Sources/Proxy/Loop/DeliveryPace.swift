import NetworkModel

/// How fast the other end takes what a lane sends, and so how much may wait in the kernel in front of a heartbeat.
///
/// On a slow path the kernel takes hundreds of kilobytes at once: a heartbeat behind them leaves seconds later. Here what
/// was written and not acknowledged is bounded by time: what the path delivers within `queueTime` and two round trips.
/// On a path of more than `fastRate` nothing is held back. A value without a clock: times and counts are arguments.
struct DeliveryPace: Sendable {
    /// What the kernel knows of the connection at one moment.
    struct Sample: Sendable {
        /// Bytes that were written and not acknowledged, sent or not.
        var unacknowledged: Int
        /// The least round trip that was seen; nil before the first.
        var leastRoundTrip: Duration?
        /// What round trips hardly ever exceed; nil before the first.
        var mostRoundTrip: Duration?

        init(unacknowledged: Int, leastRoundTrip: Duration?, mostRoundTrip: Duration? = nil) {
            self.unacknowledged = unacknowledged
            self.leastRoundTrip = leastRoundTrip
            self.mostRoundTrip = mostRoundTrip
        }
    }

    /// The time that what waits may take, without the round trips that any transfer needs.
    static let queueTime = Duration.milliseconds(250)
    /// Allowed on any path, however slow: two small records.
    static let floor = 8 * 1024
    /// Allowed before the rate is known: the longest frame and a little more.
    static let initial = 72 * 1024
    /// Bytes per second from which a path is not held back.
    static let fastRate = 4 << 20
    /// The bounds of one measurement: by time, or sooner by bytes.
    private static let interval = Duration.milliseconds(100)
    private static let intervalMin = Duration.milliseconds(1)
    private static let intervalBytes = 64 * 1024

    /// Bytes that were written to the socket since the lane began.
    private(set) var written: UInt64 = 0
    /// Bytes of these that were acknowledged, as of the last look.
    private(set) var acknowledged: UInt64 = 0
    /// When a look found more acknowledged than the one before.
    private(set) var advancedAt: Instant
    private var leastRoundTrip: Duration?
    /// Bytes per second; nil until measured.
    private(set) var rate: Int?
    /// The last measurements, the newest first: a single one may have been disturbed.
    private var recent: [Int] = []
    private var began: (at: Instant, acknowledged: UInt64)
    /// Something was under way throughout the present measurement: it says what the path takes.
    private var isBusy = false
    /// The limit, not a want of bytes, ended the last batch.
    private var isHeldBack = false
    /// What the limit is multiplied by: doubled each time that a path has taken all that it was allowed, so that the limit
    /// itself cannot keep the rate from being seen.
    private var growth = 1
    private static let growthMax = 64

    init(at now: Instant) {
        advancedAt = now
        began = (now, 0)
    }

    /// The socket took bytes.
    mutating func wrote(_ count: Int, at now: Instant) {
        // A pause that the limit made is part of the measurement, which is a lower bound then.
        if written == acknowledged, !isHeldBack {
            began = (now, acknowledged)
            isBusy = true
        }
        isHeldBack = false
        written += UInt64(count)
    }

    /// Takes a look at the connection.
    mutating func look(_ sample: Sample, at now: Instant) {
        leastRoundTrip = sample.leastRoundTrip ?? leastRoundTrip
        let acknowledged = written - min(written, UInt64(max(0, sample.unacknowledged)))
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged
            advancedAt = now
        }
        measure(at: now)
        guard written == self.acknowledged else { return }
        // A pause of ours is no slowness of the path.
        isBusy = false
        if isHeldBack { growth = min(growth * 2, Self.growthMax) }
    }

    /// There was more to write than there was room for.
    mutating func heldBack() { isHeldBack = true }

    private mutating func measure(at now: Instant) {
        let time = now - began.at
        let bytes = Int(acknowledged - began.acknowledged)
        // A reader that takes nothing for a while is no slow path.
        guard bytes > 0, time >= Self.intervalMin,
            time >= Self.interval || bytes >= Self.intervalBytes
        else { return }
        let measured = Int(Double(bytes) * 1e9 / Double(time.wholeNanoseconds))
        // Where there was not always something to send, it is only a lower bound.
        if isBusy || measured > rate ?? 0 {
            recent.insert(measured, at: 0)
            if recent.count > 4 { recent.removeLast() }
            rate = recent.max()
        }
        began = (now, acknowledged)
        isBusy = written > acknowledged
        growth = 1
    }

    /// Whether what waits has to be bounded at all.
    var isSlow: Bool { (rate ?? 0) < Self.fastRate }

    /// The most bytes that may be written and unacknowledged.
    var limit: Int {
        guard isSlow else { return .max }
        guard let rate else { return Self.initial * growth }
        let time = Self.queueTime + min(leastRoundTrip ?? .zero, .seconds(1)) * 2
        let bytes = Double(rate) * Double(time.wholeNanoseconds) / 1e9
        return max(Self.floor, Int(bytes)) * growth
    }

    /// What may be written now.
    var room: Int {
        guard isSlow else { return .max }
        return max(0, limit - Int(written - acknowledged))
    }

    /// After how long to look for room again.
    var pause: Duration {
        min(max(leastRoundTrip ?? .zero, .milliseconds(1)), .milliseconds(20))
    }
}
