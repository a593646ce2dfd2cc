package import NetworkModel
package import Wire

/// Both directions of a stream at an end that has a socket.
///
/// Whoever has the socket moves the bytes: it lends what is here to reads and writes. What has to be done after an input
/// says `takeSteps`, once: it is asked before the next input.
package struct StreamFlow: ~Copyable {
    /// What the owner of the socket has to do.
    package struct Steps: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// As `contains`, which goes through witnesses when it is called from another module, as happens for every frame.
        package func has(_ step: Steps) -> Bool { rawValue & step.rawValue != 0 }

        /// Note that the first byte has passed.
        package static let touched = Steps(rawValue: 1)
        /// Send FIN to the socket, say so with `didDeliverFin`, and ask again.
        package static let deliverFin = Steps(rawValue: 2)
        /// Tell the other end now what was written: `takeAcknowledgment`.
        package static let acknowledge = Steps(rawValue: 4)
        /// Tell it soon, together with others: `acknowledgeNow`.
        package static let acknowledgeSoon = Steps(rawValue: 8)
        /// Look whether there is something to send.
        package static let send = Steps(rawValue: 16)
        /// Another time limit holds than before.
        package static let directionEnded = Steps(rawValue: 32)
        /// Both directions have ended in order.
        package static let finished = Steps(rawValue: 64)
        /// Note that the first byte of the other end has come.
        package static let answered = Steps(rawValue: 128)
    }

    /// Two that share a byte.
    private struct Marks: OptionSet {
        let rawValue: UInt8

        static let touched = Marks(rawValue: 1)
        static let acknowledgedSoon = Marks(rawValue: 2)
    }

    // In an order without gaps.
    package private(set) var sender: StreamSender
    /// When a byte or a FIN last moved.
    package private(set) var lastMoved: Instant
    package private(set) var receiver: StreamReceiver
    /// The other end has taken the stream: bytes may flow.
    package private(set) var isOpen = false
    /// There is a socket to write to; without one, what comes waits for the next.
    package private(set) var hasSocket: Bool
    /// Until the path is another one, or sure to stay, an orderly end is not told: the other end could not hear of it.
    var awaitsPath = false
    private var marks: Marks = []
    private var steps: Steps = []
    /// The square root of the time over all hops, in units of 16 microseconds, rounded up; 0 while unknown.
    ///
    /// More than a byte would make each idle connection larger.
    private var roundTripRoot: UInt8 = 0

    /// A byte has passed in some direction.
    package var isTouched: Bool { marks.contains(.touched) }

    /// `pool` holds the bytes of both directions; `window` is what the other end may send at first.
    package init(_ pool: BufferPool, window: Int, hasSocket: Bool, at now: Instant) {
        sender = StreamSender(pool)
        receiver = StreamReceiver(pool, window: window, at: now)
        self.hasSocket = hasSocket
        lastMoved = now
    }

    /// What is kept is drawn from another pool of this loop from now on.
    package mutating func draw(on pool: BufferPool) {
        sender.draw(on: pool)
        receiver.draw(on: pool)
    }

    /// What is to be done now; nothing while bytes cannot flow.
    package mutating func takeSteps() -> Steps {
        var due = steps
        steps = []
        guard isOpen else { return [] }
        // The acknowledgment of a FIN tells of the bytes before it.
        if hasSocket, receiver.isFinDue { return due.union(.deliverFin) }
        if receiver.isAcknowledgmentDue {
            due.insert(.acknowledge)
        } else if receiver.owesAcknowledgment, !marks.contains(.acknowledgedSoon) {
            // So that the sender's ring is not held for long by the last bytes of a burst.
            marks.insert(.acknowledgedSoon)
            due.insert(.acknowledgeSoon)
        }
        if !awaitsPath, sender.isFinAcknowledged, receiver.isFinAcknowledgeable {
            due.insert(.finished)
        }
        return due
    }

    private mutating func touch() {
        guard !isTouched else { return }
        marks.insert(.touched)
        steps.insert(.touched)
    }
}

// MARK: - The life of the stream

extension StreamFlow {
    /// The other end will be told of this window first.
    package mutating func begin(window: Int) { receiver.begin(window: window) }

    /// The other end takes `window` bytes before it acknowledges any; `askedAt`: when it was asked, where that was here.
    mutating func open(window: UInt32, askedAt: Instant? = nil, at now: Instant) {
        isOpen = true
        if let askedAt { noteRoundTrip(now - askedAt) }
        sender.open(window: window)
        lastMoved = now
        if !isUntouched { touch() }
        steps.insert(.send)
    }

    /// Back to before `open`; only while nobody knows of anything.
    mutating func restart() {
        isOpen = false
        awaitsPath = false
        sender.restart()
        receiver.restart()
    }

    /// Goes on over another path at the egress, for an ingress that has `standing`; gives the offset from which bytes are
    /// sent.
    mutating func resume(_ standing: StreamStanding) throws(StreamViolation) -> UInt64 {
        roundTripRoot = 0
        let own = receiver.standing
        let start = try sender.resume(standing)
        try receiver.resume(from: own.next, hasFin: own.hasFin)
        steps.insert(.send)
        return start
    }

    /// Goes on over another path at the ingress, whose RESUME has said `hadFin`; the answer took `time`.
    mutating func resume(
        _ answer: Resumed,
        hadFin: Bool,
        after time: Duration
    ) throws(StreamViolation) {
        noteRoundTrip(time)
        _ = try sender.resume(answer.standing)
        try receiver.resume(from: answer.start, hasFin: hadFin)
        steps.insert(.send)
    }

    /// Whether the other end can have ended in order: it has all of ours, and was told that we have all of its own.
    var mayHaveFinished: Bool { sender.finOffset != nil && receiver.isFinDelivered }

    /// Nothing flows any more, and nothing is kept.
    mutating func close() {
        isOpen = false
        sender.discard()
        receiver.discard()
    }

    private mutating func noteRoundTrip(_ time: Duration) {
        let units = Double(min(time, Self.longestRoundTrip).wholeNanoseconds) / 16_000
        roundTripRoot = UInt8(max(1, units.squareRoot().rounded(.up)))
    }

    /// Zero while unknown.
    private var pathRoundTrip: Duration {
        .microseconds(16 * Int64(roundTripRoot) * Int64(roundTripRoot))
    }

    private static let longestRoundTrip: Duration = .seconds(1)

    mutating func gainSocket() { hasSocket = true }

    /// The socket is gone before it took or gave anything.
    mutating func loseSocket() { hasSocket = false }

    /// Lets the client's first bytes be read before the stream is open, to travel with OPEN.
    package mutating func allowEarly() { sender.allowEarly() }

    /// Takes what one read of these gives; gives their number.
    package mutating func fillEarly(_ read: (RingSpace) -> Int) -> Int {
        sender.fill(atMost: WireLimit.early, read)
    }

    /// Gives the first bytes to travel with OPEN: then the stream is not untouched any more.
    package mutating func takeEarly() -> [UInt8] { sender.takeEarly() }

    /// The bytes that traveled with OPEN have come to nobody.
    mutating func takeBackEarly() { sender.takeBackEarly() }

    /// Keeps the bytes that came with OPEN for the server.
    mutating func keepEarly(_ bytes: [UInt8]) throws(StreamViolation) {
        _ = try receiver.check(0, count: bytes.count)
        bytes.withRawSpan { receiver.store($0) }
    }

    /// Bytes that were read from the socket elsewhere, to be sent before all others.
    package mutating func prepend(_ bytes: [UInt8]) { sender.prepend(bytes) }

    /// Takes back what `prepend` added.
    package mutating func takeUnsent() -> [UInt8] { sender.takeUnsent() }

    /// Whether the stream could be opened elsewhere without anybody noticing.
    package var isUntouched: Bool { sender.isUntouched && receiver.isUntouched }

    /// Whether the socket neither gave nor took anything: another one could take its place.
    var hasUsedNoSocket: Bool { !sender.hasRead && receiver.hasDeliveredNothing }

    /// Whether the stream is finished once the FIN that is due is delivered.
    package var isFinLast: Bool {
        sender.isFinAcknowledged && receiver.hasFinArrived && !awaitsPath
    }

    private var isHalfClosed: Bool { sender.finOffset != nil || receiver.isFinDelivered }

    /// Until when an open stream may stand still; nil: for ever.
    func silentUntil(_ timeouts: ServiceTimeouts) -> Instant? {
        let limit = isHalfClosed ? timeouts.halfClosed : timeouts.idle
        return limit > .zero ? lastMoved + limit : nil
    }
}

// MARK: - From the socket to the other end

extension StreamFlow {
    /// Takes what one read from the socket gives, at most `count` bytes; gives their number.
    package mutating func fill(
        atMost count: Int,
        at now: Instant,
        _ read: (RingSpace) -> Int
    ) -> Int {
        let count = sender.fill(atMost: count, read)
        if count > 0 {
            lastMoved = now
            touch()
        }
        return count
    }

    /// The socket has ended.
    package mutating func endOfSocket(at now: Instant) {
        sender.end()
        lastMoved = now
        steps.insert(.directionEnded)
    }

    /// Whether bytes or a FIN can be sent without reading more.
    package var isReadyToSend: Bool { isOpen && (sender.ready > 0 || sender.isFinDue) }

    /// Appends at most `most` of the bytes that may be sent as one frame; gives their number.
    package mutating func appendData(
        atMost most: Int,
        label: UInt32,
        to buffer: inout FrameBuffer
    ) -> Int {
        let count = min(sender.ready, most)
        guard count > 0 else { return 0 }
        sender.ring.appendFrame(count, from: sender.sent, label: label, to: &buffer)
        sender.didSend(count)
        return count
    }

    /// Appends FIN if it is next; true when it was.
    package mutating func appendFin(label: UInt32, to buffer: inout FrameBuffer) -> Bool {
        guard sender.isFinDue else { return false }
        buffer.append(type: .fin, label: label) { Fin(offset: sender.sent).encode(into: &$0) }
        sender.didSendFin()
        return true
    }

    package mutating func receive(_ acknowledgment: Acknowledgment) throws(StreamViolation) {
        guard isOpen else { throw .unexpected(.acknowledgment) }
        if try sender.acknowledged(acknowledgment), !sender.isFinAcknowledged {
            steps.insert(.send)
        }
    }
}

// MARK: - From the other end to the socket

extension StreamFlow {
    /// Checks a frame of `count` bytes at `offset`; gives how many of them came before.
    ///
    /// The rest is handed to `didWrite` and `keep`, in order.
    package mutating func receive(
        dataAt offset: UInt64,
        count: Int,
        at now: Instant
    ) throws(StreamViolation) -> Int {
        guard isOpen else { throw .unexpected(.data) }
        let known = try receiver.check(offset, count: count)
        if known < count {
            // The egress has asked nothing: what comes first comes a round trip after its answer, or after its first bytes.
            if roundTripRoot == 0 { noteRoundTrip(now - lastMoved) }
            lastMoved = now
            touch()
            if receiver.next == 0 { steps.insert(.answered) }
        }
        return known
    }

    /// Whether the socket may be given the next bytes at once.
    package var writesThrough: Bool { hasSocket && receiver.pending.isEmpty }

    /// Bytes of a frame were written to the socket at once; only while `writesThrough`.
    package mutating func didWrite(_ count: Int) { receiver.passed(count) }

    /// Keeps bytes of a frame until the socket takes them.
    package mutating func keep(_ bytes: RawSpan) { receiver.store(bytes) }

    /// Lends what waits to the socket, in one piece, and counts what it says it took; gives that number.
    package mutating func drain(
        at now: Instant,
        _ write: (UnsafeRawBufferPointer) -> Int
    ) -> Int {
        let count = unsafe receiver.drain(write)
        if count > 0 { lastMoved = now }
        return count
    }

    package mutating func receive(_ fin: Fin) throws(StreamViolation) {
        guard isOpen else { throw .unexpected(.fin) }
        try receiver.finish(fin.offset)
    }

    package mutating func didDeliverFin(at now: Instant) {
        receiver.didDeliverFin()
        lastMoved = now
        steps.insert(.directionEnded)
    }

    /// The time of `acknowledgeSoon` has come; true when there is still something to tell.
    package mutating func acknowledgeNow() -> Bool {
        marks.remove(.acknowledgedSoon)
        return receiver.owesAcknowledgment
    }

    /// What the other end is to be told; counts it as told.
    ///
    /// `roundTrip` is that of the first hop.
    package mutating func takeAcknowledgment(
        at now: Instant,
        roundTrip: Duration,
        mayGrow: Bool,
        shrinks: Bool = false
    ) -> Acknowledgment {
        receiver.takeAcknowledgment(
            at: now,
            roundTrip: max(roundTrip, pathRoundTrip),
            mayGrow: mayGrow,
            shrinks: shrinks
        )
    }
}
