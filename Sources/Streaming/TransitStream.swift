package import NetworkModel
package import Wire

/// A stream that passes through this proxy: label to label, with nothing kept but what the windows allow to be in flight.
///
/// When one side is lost the other one is told, and nothing is kept: the ends go on over another path, from the bytes
/// that have arrived. Pure: whoever has the carriers carries out the actions, in order, before the next input.
package struct TransitStream: ~Copyable {
    /// The side of a neighbor.
    package enum Leg: Hashable, Sendable, CaseIterable {
        /// Towards the ingress, which opened it here.
        case inner
        /// Towards the egress, to which this proxy passed OPEN on.
        case outer

        package var other: Leg { self == .inner ? .outer : .inner }
    }

    package enum State {
        /// The egress has not answered yet. Can become: open, ended.
        case opening(until: Instant)
        /// RESUME was passed on, and the egress has not answered yet. Can become: open, ended.
        case resuming(Resume, until: Instant)
        /// Bytes may flow. Can become: ended.
        case open
        /// Nothing is left.
        case ended
    }

    package private(set) var state: State
    /// At the gateway of a sidecar: what it signed, whose answer it therefore checks.
    package let signed: (any StreamRequest)?
    private let proxy: ProxyID
    /// Bytes that OPEN carried on from here.
    private var early: UInt64 = 0
    /// Both ends, and every hop, know how to go on over another path.
    private var isResumable = false
    /// What leaves by the leg: bytes of the one direction, and what the other was acknowledged.
    private(set) var inner: TransitDirection
    private(set) var outer: TransitDirection

    /// `proxy` is this one; without an answer until `limit` the stream ends.
    package init(
        _ open: Open,
        isSigner: Bool,
        through proxy: ProxyID,
        pool: BufferPool,
        limit: Instant
    ) {
        self.proxy = proxy
        var request = open
        request.early = []
        signed = isSigner ? request : nil
        early = UInt64(open.early.count)
        state = .opening(until: limit)
        inner = TransitDirection(pool, limit: open.window)
        outer = TransitDirection(pool, limit: 0)
    }

    /// As for OPEN, but the answer says from which byte each direction goes on.
    package init(
        _ resume: Resume,
        isSigner: Bool,
        through proxy: ProxyID,
        pool: BufferPool,
        limit: Instant
    ) {
        self.proxy = proxy
        signed = isSigner ? resume : nil
        state = .resuming(resume, until: limit)
        inner = TransitDirection(pool, limit: 0)
        outer = TransitDirection(pool, limit: 0)
    }

    /// What happened on one side.
    package enum Input {
        /// `isGenuine`: it is the egress's own word, or none that this proxy can check.
        case opened(Opened, isGenuine: Bool)
        case refused(Refused, isGenuine: Bool)
        case resumed(Resumed, isGenuine: Bool)
        case cancelled
        case reset(Reset.Reason)
        /// The path beyond that side is lost, or used no more.
        case pathLost
        /// The lane on that side is about to end: the stream is to take another one.
        case leaving
        /// The site on that side is not allowed any more.
        case revoked
        /// The neighbor broke the rules of the stream.
        case violated
        /// There is no memory for what came.
        case overloaded
        /// `nextDeadline` is over.
        case deadline
        /// The proxy stops.
        case shutDown
    }

    /// What one neighbor is told; its label is free after all but `opened` and `resumed`.
    package enum Action: Hashable {
        case opened(Opened, Leg)
        case resumed(Resumed, Leg)
        case refused(Refused, Leg)
        case cancelled(Leg)
        case reset(Reset.Reason, Leg)
        case detached(Leg)
        /// Gives both labels back and forgets the stream.
        case end
    }

    /// Takes one input; the actions are carried out in order.
    package mutating func handle(_ input: Input, on leg: Leg, at now: Instant) -> [Action] {
        switch input {
        case .opened(let opened, let isGenuine): receive(opened, isGenuine, on: leg)
        case .refused(let refused, let isGenuine): receive(refused, isGenuine, on: leg)
        case .resumed(let resumed, let isGenuine): receive(resumed, isGenuine, on: leg)
        case .cancelled:
            // The ingress alone gives a stream up.
            leg == .inner ? end([.cancelled(.outer)]) : resetBoth(.protocolError)
        case .reset(let reason): end([.reset(reason, leg.other)])
        case .pathLost: pathLost(on: leg)
        case .leaving: leave()
        case .revoked: end([.reset(.revoked, leg.other)])
        case .violated: resetBoth(.protocolError)
        case .overloaded: resetBoth(.overloaded)
        case .shutDown: resetBoth(.shutdown)
        case .deadline: deadlinePassed(at: now)
        }
    }

    /// When `.deadline` is due.
    package var nextDeadline: Instant? {
        switch state {
        case .opening(let until), .resuming(_, let until): until
        case .open, .ended: nil
        }
    }

    /// The loop has ended: nobody is told.
    package mutating func abandon() { state = .ended }

    private mutating func end(_ words: [Action]) -> [Action] {
        if case .ended = state { return [] }
        state = .ended
        return words + [.end]
    }

    private mutating func resetBoth(_ reason: Reset.Reason) -> [Action] {
        end([.reset(reason, .outer), .reset(reason, .inner)])
    }

    private mutating func deadlinePassed(at now: Instant) -> [Action] {
        guard let nextDeadline, nextDeadline <= now else { return [] }
        // Nobody answers: neither side holds a place here any longer.
        return end([isOpening ? .cancelled(.outer) : .detached(.outer), .refused(noRoute, .inner)])
    }

    private var isOpening: Bool {
        if case .opening = state { true } else { false }
    }

    private mutating func pathLost(on leg: Leg) -> [Action] {
        switch state {
        case .opening, .resuming:
            // Lost before the answer: the ingress may try another path. Nobody else does, so what was asked for is for nobody.
            if leg == .outer { return end([.refused(noRoute, .inner)]) }
            return end([isOpening ? .reset(.pathLost, .outer) : .detached(.outer)])
        case .open: return end([.detached(leg.other)])
        case .ended: return []
        }
    }

    private mutating func leave() -> [Action] {
        guard case .open = state, isResumable else { return [] }
        return end([.detached(.outer), .detached(.inner)])
    }

    // MARK: The answer

    private var noRoute: Refused { Refused(by: proxy, reason: .noRoute) }

    private mutating func receive(
        _ opened: Opened,
        _ isGenuine: Bool,
        on leg: Leg
    ) -> [Action] {
        guard case .opening = state, leg == .outer else { return resetBoth(.protocolError) }
        guard isGenuine else {
            return end([.reset(.protocolError, .outer), .refused(noRoute, .inner)])
        }
        var opened = opened
        // Where they were left out on the way, none can have come.
        opened.tookEarly = opened.tookEarly && early > 0
        if opened.tookEarly { outer.begin(behind: early) }
        outer.allow(opened.window)
        isResumable = opened.isResumable
        state = .open
        return [.opened(opened, .inner)]
    }

    private mutating func receive(
        _ resumed: Resumed,
        _ isGenuine: Bool,
        on leg: Leg
    ) -> [Action] {
        guard case .resuming(let resume, _) = state, leg == .outer,
            resumed.start >= resume.standing.next
        else { return resetBoth(.protocolError) }
        guard isGenuine else { return end([.detached(.outer), .refused(noRoute, .inner)]) }
        outer.begin(at: resumed.standing.next, for: resumed.standing)
        inner.begin(at: resumed.start, for: resume.standing)
        isResumable = true
        state = .open
        return [.resumed(resumed, .inner)]
    }

    private mutating func receive(
        _ refused: Refused,
        _ isGenuine: Bool,
        on leg: Leg
    ) -> [Action] {
        switch state {
        case .opening, .resuming:
            guard leg == .outer else { return resetBoth(.protocolError) }
            return end([.refused(isGenuine ? refused : noRoute, .inner)])
        case .open, .ended: return resetBoth(.protocolError)
        }
    }
}

// MARK: - Bytes

extension TransitStream {
    private mutating func withDirection<Result>(
        leavingBy leg: Leg,
        _ body: (inout TransitDirection) throws(StreamViolation) -> Result
    ) throws(StreamViolation) -> Result {
        switch leg {
        case .inner: try body(&inner)
        case .outer: try body(&outer)
        }
    }

    private func requireOpen(_ type: FrameType) throws(StreamViolation) {
        guard case .open = state else { throw .unexpected(type) }
    }

    /// The pool of the rings.
    package var pool: BufferPool { inner.queue.pool }

    /// Bytes that are kept.
    package var keptCount: Int { inner.queue.count + outer.queue.count }

    /// Bytes that the windows which were let pass allow to be in flight here at most.
    package var allowedCount: UInt64 { inner.allowed + outer.allowed }

    /// Checks a frame of `count` bytes that came on `leg`; `keep` takes them, and they leave by the other.
    package mutating func receive(
        dataAt offset: UInt64,
        count: Int,
        on leg: Leg
    ) throws(StreamViolation) {
        try requireOpen(.data)
        try withDirection(leavingBy: leg.other) { (direction) throws(StreamViolation) in
            try direction.check(offset, count: count)
        }
    }

    /// Keeps bytes that came on `leg` until the other one's turn.
    package mutating func keep(_ bytes: RawSpan, on leg: Leg) {
        switch leg.other {
        case .inner: inner.keep(bytes)
        case .outer: outer.keep(bytes)
        }
    }

    package mutating func receive(_ fin: Fin, on leg: Leg) throws(StreamViolation) {
        try requireOpen(.fin)
        try withDirection(leavingBy: leg.other) { (direction) throws(StreamViolation) in
            try direction.finish(fin.offset)
        }
    }

    /// Takes what came on `leg`; the other leg is to pass on what `takeAcknowledgment` gives, and at once when the result is
    /// true: then `ended` follows.
    ///
    /// `isScarce`: there is little memory, and no more is let pass than a standard window.
    package mutating func receive(
        _ acknowledgment: Acknowledgment,
        on leg: Leg,
        isScarce: Bool
    ) throws(StreamViolation) -> Bool {
        try requireOpen(.acknowledgment)
        let frame =
            try withDirection(leavingBy: leg) { (direction) throws(StreamViolation) in
                try direction.acknowledged(acknowledgment, isScarce: isScarce)
            }
        switch leg.other {
        case .inner: inner.passOn(frame)
        case .outer: outer.passOn(frame)
        }
        return inner.isFinAcknowledged && outer.isFinAcknowledged
    }

    /// The newest that came on the other leg and was not passed on yet: however fast they come, one waits.
    package mutating func takeAcknowledgment(leavingBy leg: Leg) -> Acknowledgment? {
        switch leg {
        case .inner: inner.acknowledgment.take()
        case .outer: outer.acknowledgment.take()
        }
    }

    /// The last word on this stream was passed on.
    package mutating func finish() -> [Action] { end([]) }

    /// Appends frames of about `limit` bytes that leave by `leg`; true when there is more.
    package mutating func produce(
        into buffer: inout FrameBuffer,
        limit: Int,
        label: UInt32,
        leavingBy leg: Leg
    ) -> Bool {
        switch leg {
        case .inner: inner.produce(into: &buffer, limit: limit, label: label)
        case .outer: outer.produce(into: &buffer, limit: limit, label: label)
        }
    }
}

/// What leaves by one leg: bytes that came on the other one and were not sent yet, never more than the receiver's window
/// lets pass.
struct TransitDirection: ~Copyable {
    /// From the next byte to send to the next byte expected.
    private(set) var queue: ByteRing
    /// Bytes before this offset may come.
    private var limit: UInt64
    private(set) var finOffset: UInt64?
    private(set) var isFinSent = false
    private(set) var isFinAcknowledged = false
    /// Of the direction that leaves by the other leg.
    var acknowledgment: Acknowledgment?

    init(_ pool: BufferPool, limit: UInt32) {
        queue = ByteRing(pool)
        self.limit = UInt64(limit)
    }

    /// Bytes that may be here.
    var allowed: UInt64 { limit - queue.start }

    /// OPENED: the receiver takes so many bytes from the first on.
    mutating func allow(_ window: UInt32) { limit = max(queue.start, UInt64(window)) }

    /// OPENED: so many bytes have traveled with OPEN.
    mutating func begin(behind count: UInt64) { queue.skip(Int(count)) }

    /// RESUMED: the bytes from `start` on follow, for a receiver with that standing.
    mutating func begin(at start: UInt64, for standing: StreamStanding) {
        queue.skip(Int(start))
        limit = max(start, standing.next + UInt64(standing.window))
        guard standing.hasFin else { return }
        finOffset = start
        isFinSent = true
    }

    func check(_ offset: UInt64, count: Int) throws(StreamViolation) {
        guard offset == queue.end else { throw .gap(offset: offset, expected: queue.end) }
        let end = offset + UInt64(count)
        guard end <= limit else { throw .window(end: end, granted: limit) }
        if let finOffset { throw .afterFin(end: end, fin: finOffset) }
    }

    mutating func keep(_ bytes: RawSpan) { queue.append(bytes) }

    mutating func finish(_ offset: UInt64) throws(StreamViolation) {
        guard finOffset == nil, offset == queue.end else { throw .fin(offset: offset) }
        finOffset = offset
    }

    /// Checks what the receiver of this direction says; gives what its sender is to be told.
    mutating func acknowledged(
        _ acknowledgment: Acknowledgment,
        isScarce: Bool
    ) throws(StreamViolation) -> Acknowledgment {
        let sent = queue.start + (isFinSent ? 1 : 0)
        guard acknowledgment.offset <= sent else {
            throw .acknowledgment(offset: acknowledgment.offset, sent: sent)
        }
        var frame = acknowledgment
        if isScarce {
            // Less than the receiver offers, but never less than was let pass already.
            let least = frame.offset + UInt64(StreamReceiver.standardWindow)
            let lowered = max(limit, min(least, frame.offset + UInt64(frame.window)))
            frame.window = UInt32(clamping: lowered - min(lowered, frame.offset))
        }
        limit = max(limit, frame.offset + UInt64(frame.window))
        if isFinSent, frame.offset == sent { isFinAcknowledged = true }
        return frame
    }

    /// Keeps what the other side's receiver says for this leg's turn.
    mutating func passOn(_ frame: Acknowledgment) {
        if let waiting = acknowledgment, waiting.offset > frame.offset { return }
        acknowledgment = frame
    }

    mutating func produce(into buffer: inout FrameBuffer, limit: Int, label: UInt32) -> Bool {
        var room = limit
        while !queue.isEmpty {
            guard room > 512 else { return true }
            let most = min(room - FrameHeader.size - DataFrame.headerSize, FrameHeader.maximumData)
            let (offset, count) = (queue.start, min(queue.count, most))
            queue.appendFrame(count, from: offset, label: label, to: &buffer)
            queue.drop(before: offset + UInt64(count))
            room -= count + FrameHeader.size + DataFrame.headerSize
        }
        if let finOffset, !isFinSent {
            isFinSent = true
            buffer.append(type: .fin, label: label) { Fin(offset: finOffset).encode(into: &$0) }
        }
        return false
    }
}
