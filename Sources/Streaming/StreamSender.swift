package import Wire

/// The sending half of one direction: what was read from the local socket and is not acknowledged yet.
///
/// The ring keeps every byte until its acknowledgment, so that it could be sent again on another path. Bytes are read
/// only as far as the window allows. Pure: no clock, no socket.
package struct StreamSender: ~Copyable {
    // In an order without gaps.
    /// From the first unacknowledged byte to the last byte read.
    package private(set) var ring: ByteRing
    /// The socket has ended: there are no bytes but those that were read.
    private var hasEnded = false
    package private(set) var isFinSent = false
    package private(set) var isFinAcknowledged = false
    private var nearSent = NearOffset()
    private var nearLimit = NearOffset()

    package init(_ pool: BufferPool) { ring = ByteRing(pool) }

    /// Keeps bytes for another site from now on.
    package mutating func draw(on pool: BufferPool) { ring.draw(on: pool) }

    /// The offset of the next byte to send.
    package private(set) var sent: UInt64 {
        get { nearSent.offset(from: ring.start) }
        set { nearSent = NearOffset(newValue, from: ring.start) }
    }

    /// Bytes before this offset may be sent.
    package private(set) var limit: UInt64 {
        get { nearLimit.offset(from: ring.start) }
        set { nearLimit = NearOffset(newValue, from: ring.start) }
    }

    /// The number of bytes of the direction, once the socket has ended.
    package var finOffset: UInt64? { hasEnded ? ring.end : nil }

    /// The bytes that may be read from the socket now.
    ///
    /// No more are kept than the largest window: after another path was taken, the receiver may allow that many beyond
    /// bytes whose acknowledgment was lost with the old one.
    package var room: Int {
        let end = min(limit, ring.start + UInt64(WireLimit.window))
        guard !hasEnded, end > ring.end else { return 0 }
        return Int(end - ring.end)
    }

    /// The bytes that may be sent now.
    package var ready: Int { Int(min(ring.end, max(limit, sent)) - sent) }

    /// Whether FIN is next to be sent.
    package var isFinDue: Bool { !isFinSent && finOffset == sent }

    /// Whether the other side knows of anything, or may: then no other target can be tried.
    package var isUntouched: Bool { sent == 0 && !isFinSent }

    /// Whether the socket ever gave a byte or its FIN.
    package var hasRead: Bool { ring.end > 0 || hasEnded }

    /// Takes what one read from the socket gives, at most `count` bytes of `room`; gives their number.
    package mutating func fill(
        atMost count: Int,
        _ read: (RingSpace) -> Int
    ) -> Int {
        ring.fill(atMost: min(count, room), read)
    }

    /// The socket has ended: there are no bytes but those that were read.
    package mutating func end() { hasEnded = true }

    /// Bytes that were read from the socket elsewhere, to be sent before all others.
    package mutating func prepend(_ bytes: [UInt8]) {
        precondition(ring.end == 0, "bytes before \(ring.end)")
        bytes.withRawSpan { ring.append($0) }
    }

    /// Lets so much be read as may travel with OPEN.
    mutating func allowEarly() { limit = max(limit, UInt64(WireLimit.early)) }

    /// Gives the first bytes to travel with OPEN, and counts them as sent.
    mutating func takeEarly() -> [UInt8] {
        precondition(isUntouched && ring.start == 0, "early bytes after \(sent)")
        let bytes = ring.copy(from: 0, count: min(ring.count, WireLimit.early))
        sent = UInt64(bytes.count)
        return bytes
    }

    /// The bytes that traveled with OPEN have come to nobody.
    mutating func takeBackEarly() {
        precondition(ring.start == 0 && !isFinSent, "take back \(ring.start) bytes")
        sent = 0
        limit = 0
    }

    /// Takes back what `prepend` added, for somebody else to send.
    package mutating func takeUnsent() -> [UInt8] {
        precondition(isUntouched, "take back \(sent) sent bytes")
        let bytes = ring.copy(from: 0, count: ring.count)
        ring = ByteRing(ring.pool)
        limit = 0
        return bytes
    }

    /// Counts `count` bytes of `ready` as sent.
    package mutating func didSend(_ count: Int) { sent += UInt64(count) }

    package mutating func didSendFin() { isFinSent = true }

    /// The receiver allows `window` bytes from offset 0 on, and has taken none: OPENED, or OPEN.
    package mutating func open(window: UInt32) { limit = max(sent, UInt64(window)) }

    /// Takes an acknowledgment; true when it gave room or acknowledged something new.
    package mutating func acknowledged(_ frame: Acknowledgment) throws(StreamViolation) -> Bool {
        var offset = frame.offset
        if let finOffset, isFinSent, offset == finOffset + 1 {
            isFinAcknowledged = true
            offset = finOffset
        }
        guard offset <= sent else {
            throw .acknowledgment(offset: frame.offset, sent: sent)
        }
        let isNews = offset > ring.start || frame.offset + UInt64(frame.window) > limit
        // An older one than the last is late, not wrong.
        if offset > ring.start { ring.drop(before: offset) }
        // A grant is never taken back.
        limit = max(limit, frame.offset + UInt64(frame.window))
        return isNews || isFinAcknowledged
    }

    /// Goes on over another path, for a receiver that has `standing`; gives the offset from which bytes are sent.
    ///
    /// That is not before the first byte that is kept: acknowledgments may have been faster than the standing.
    mutating func resume(_ standing: StreamStanding) throws(StreamViolation) -> UInt64 {
        let next = standing.next
        guard next <= ring.end, !standing.hasFin || finOffset == next else {
            throw .acknowledgment(offset: next, sent: ring.end)
        }
        sent = max(ring.start, next)
        isFinSent = standing.hasFin
        // The other end ends only after what it hears over this path, and so does this one.
        isFinAcknowledged = isFinAcknowledged && standing.hasFin
        // The hops of that path have heard of no other grant.
        limit = max(sent, next + UInt64(standing.window))
        return sent
    }

    /// The stream has ended: what is kept is for nobody.
    mutating func discard() { ring.cut(at: sent) }

    /// Starts again from the first byte for another target; only while untouched.
    package mutating func restart() {
        precondition(isUntouched && ring.start == 0, "restart after \(sent) bytes")
        limit = 0
    }
}
