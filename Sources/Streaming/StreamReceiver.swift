package import NetworkModel
package import Wire

/// The receiving half of one direction: what came and was not written to the local socket yet, and what may come.
///
/// Bytes are taken in order of their offsets; those that came before are skipped, a gap is a violation. Pure: no
/// clock, no socket.
package struct StreamReceiver: ~Copyable {
    package static let minimumWindow = 16 << 10
    package static let standardWindow = 64 << 10
    /// Where all of the path is one short hop: what several streams have under way there fits a processor's caches.
    package static let nearWindow = 128 << 10
    package static let generousWindow = 256 << 10
    package static let maximumWindow = Int(WireLimit.window)

    // In an order without gaps.
    /// What waits for the socket: from the first byte not written to the next one expected.
    package private(set) var pending: ByteRing
    /// The sender has said how many bytes the direction has.
    package private(set) var hasEnd = false
    /// It came over this path or before it.
    private(set) var hasFinArrived = false
    /// Our FIN was sent to the socket.
    package private(set) var isFinDelivered = false
    private var windowSize: UInt32
    private var nearGranted = NearOffset()
    private var nearFin = NearOffset()
    /// How many of the last bytes came over an earlier path only: a hop allows no acknowledgment of those.
    private(set) var missed: UInt32 = 0
    /// The offset of the last acknowledgment, unless `mustAcknowledge`.
    private var acknowledged = NearOffset()
    /// When the last window was used up, or the path began, in microseconds that begin anew after an hour.
    private var measuredAt: UInt32
    private var isFinAcknowledged = false
    /// The sender may have heard of nothing, over this path.
    private(set) var mustAcknowledge = false

    package init(_ pool: BufferPool, window: Int, at now: Instant) {
        pending = ByteRing(pool)
        windowSize = UInt32(window)
        measuredAt = Self.microseconds(now)
        granted = UInt64(window)
    }

    /// Begins with another window; only while nobody has heard of one.
    package mutating func begin(window: Int) {
        precondition(isUntouched, "another window after \(next) bytes")
        self.window = window
        granted = UInt64(window)
    }

    /// Bytes before this offset may come.
    package private(set) var granted: UInt64 {
        get { nearGranted.offset(from: written) }
        set { nearGranted = NearOffset(newValue, from: written) }
    }

    /// The number of bytes of the direction, once the sender has said so.
    package var finOffset: UInt64? { hasEnd ? nearFin.offset(from: written) : nil }

    /// Keeps bytes of another site from now on.
    package mutating func draw(on pool: BufferPool) { pending.draw(on: pool) }

    /// How far ahead of what was written the sender may be.
    package private(set) var window: Int {
        get { Int(windowSize) }
        set { windowSize = UInt32(newValue) }
    }

    /// Bytes written to the socket.
    package var written: UInt64 { pending.start }
    /// The offset of the next byte that is expected.
    package var next: UInt64 { pending.end }

    /// Whether nothing came, neither for the local side nor to wait for it: else no other target can be tried.
    package var isUntouched: Bool { next == 0 && !hasEnd }

    /// Whether the socket was given neither a byte nor FIN: another one could take what waits.
    package var hasDeliveredNothing: Bool { written == 0 && !isFinDelivered }

    /// Whether every byte was written and FIN is next.
    package var isFinDue: Bool { !isFinDelivered && finOffset == written }

    /// Checks a frame of `count` bytes at `offset`; gives how many of them came before.
    ///
    /// The rest is to be handed to `passed` and `store`, in order.
    package mutating func check(_ offset: UInt64, count: Int) throws(StreamViolation) -> Int {
        guard offset <= next else { throw .gap(offset: offset, expected: next) }
        // Cannot overflow any more: `next` is a number of bytes that came.
        let end = offset + UInt64(count)
        guard end <= granted else { throw .window(end: end, granted: granted) }
        if let finOffset, end > finOffset { throw .afterFin(end: end, fin: finOffset) }
        if missed > 0 { missed = end >= next ? 0 : min(missed, UInt32(next - end)) }
        return Int(min(next, end) - offset)
    }

    /// Counts bytes of a frame that were written to the socket at once; only while nothing waits.
    package mutating func passed(_ count: Int) { pending.skip(count) }

    /// Keeps bytes of a frame until the socket takes them.
    package mutating func store(_ bytes: RawSpan) { pending.append(bytes) }

    /// Lends what waits to the socket, in one piece, and counts what it says it took; gives that number.
    package mutating func drain(_ write: (UnsafeRawBufferPointer) -> Int) -> Int {
        unsafe pending.drain(write)
    }

    /// The stream has ended: what waits is for nobody.
    mutating func discard() { pending.drop(before: pending.end) }

    package mutating func finish(_ offset: UInt64) throws(StreamViolation) {
        guard offset >= next, offset <= granted, finOffset == nil || finOffset == offset else {
            throw .fin(offset: offset)
        }
        nearFin = NearOffset(offset, from: written)
        hasEnd = true
        hasFinArrived = true
    }

    package mutating func didDeliverFin() { isFinDelivered = true }

    /// What the sender needs to know to go on over another path.
    package var standing: StreamStanding {
        StreamStanding(
            next: next,
            hasFin: finOffset == next,
            window: UInt32(min(granted - next, UInt64(WireLimit.window)))
        )
    }

    /// Another path is used, over which the sender sends from `start` on, and FIN unless `hasFin`.
    mutating func resume(from start: UInt64, hasFin: Bool) throws(StreamViolation) {
        // A sender keeps no more than it was ever allowed to send.
        guard start <= next, let missed = UInt32(exactly: next - start) else {
            throw .gap(offset: start, expected: next)
        }
        self.missed = missed
        hasFinArrived = hasFin
        isFinAcknowledged = false
        mustAcknowledge = true
    }

    /// Back to before the first path; only while untouched.
    mutating func restart() {
        missed = 0
        hasFinArrived = false
        mustAcknowledge = false
    }

    /// Bytes before this offset may be acknowledged.
    private var acknowledgeable: UInt64 { min(written, next - UInt64(missed)) }

    /// How many of them the sender has not heard of.
    private var unacknowledged: Int { acknowledged.distance(to: acknowledgeable) }

    /// Whether FIN was delivered, and came over this path or before it.
    var isFinAcknowledgeable: Bool { isFinDelivered && hasFinArrived }

    private var owesFin: Bool { isFinAcknowledgeable && !isFinAcknowledged }

    /// Whether the sender does not know yet how much was written.
    package var owesAcknowledgment: Bool {
        mustAcknowledge || unacknowledged > 0 || owesFin
    }

    /// Whether an acknowledgment should go out now rather than with the next frame: an eighth of the window was used up, or
    /// the direction is done.
    package var isAcknowledgmentDue: Bool {
        mustAcknowledge || unacknowledged >= window / 8 || owesFin
    }

    /// What the sender is to be told; counts it as told.
    ///
    /// The window doubles when all of it was used up within two round trips and the socket keeps up: so it comes to between two and
    /// four times what is under way, which is what may wait in hops. With `shrinks` it halves, down to the least; what was
    /// granted stays so.
    package mutating func takeAcknowledgment(
        at now: Instant,
        roundTrip: Duration,
        mayGrow: Bool,
        shrinks: Bool = false
    ) -> Acknowledgment {
        let offset = acknowledgeable
        if isUsedUp(at: offset, now, within: roundTrip * 2), mayGrow, pending.isEmpty {
            window = min(2 * window, Self.maximumWindow)
        }
        if shrinks { window = max(window / 2, min(window, Self.minimumWindow)) }
        acknowledged = NearOffset(offset, from: offset)
        mustAcknowledge = false
        granted = max(granted, written + UInt64(window))
        guard !isFinAcknowledgeable else {
            isFinAcknowledged = true
            return Acknowledgment(offset: written + 1, window: 0)
        }
        let window = min(granted - offset, UInt64(WireLimit.window))
        return Acknowledgment(offset: offset, window: UInt32(window))
    }

    /// Whether a window was used up, in no more than `time`, when the sender is told of the bytes before `offset`.
    ///
    /// It is used up at each multiple of its size.
    private mutating func isUsedUp(
        at offset: UInt64,
        _ now: Instant,
        within time: Duration
    ) -> Bool {
        let size = UInt64(window)
        let before = mustAcknowledge ? 0 : offset - UInt64(unacknowledged)
        guard mustAcknowledge || before / size < offset / size else { return false }
        let passed = Self.microseconds(now) &- measuredAt
        measuredAt = Self.microseconds(now)
        guard !mustAcknowledge, .microseconds(passed) <= time else { return false }
        // Only half of a window twice as large is left until its next multiple: it has half of the time.
        if offset / size % 2 == 1 { measuredAt &-= UInt32(time.wholeNanoseconds / 2_000) }
        return true
    }

    private static func microseconds(_ time: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: time.nanoseconds / 1_000)
    }
}
