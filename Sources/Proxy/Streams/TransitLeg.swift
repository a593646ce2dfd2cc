import NetworkModel
import Streaming
import Wire

/// One side of a stream in transit: label to label.
///
/// A leg holds the direction that leaves by it: bytes that came on the other leg and were not sent yet, never more than
/// the receiver's window lets pass.
final class TransitLeg: StreamEnd {
    private unowned let engine: StreamEngine
    /// Nil once the stream has ended.
    private var other: TransitLeg?
    /// From the next byte to send to the next byte expected.
    private var queue: ByteRing
    /// Bytes before this offset may come.
    private var limit: UInt64
    private var finOffset: UInt64?
    private var isFinSent = false
    private var isFinAcknowledged = false
    /// The newest that came on the other leg and was not passed on yet: however fast they come, one waits.
    private var acknowledgment: Acknowledgment?
    private var isOpen = false
    /// On the leg towards the egress: the limit of its answer.
    private var answerTimer: TimerID?
    /// At the gateway of a sidecar: what it signed, until the answer.
    private var signed: Open?

    private init(_ engine: StreamEngine, limit: UInt32, pool: BufferPool) {
        self.engine = engine
        self.limit = UInt64(limit)
        queue = ByteRing(pool)
    }

    /// The leg towards the ingress, joined to the one towards the egress.
    static func pair(
        for open: Open,
        isSigner: Bool,
        charge: StreamCharge,
        engine: StreamEngine
    ) -> (inner: TransitLeg, outer: TransitLeg) {
        let pool = engine.pool(of: charge.account)
        let inner = TransitLeg(engine, limit: open.window, pool: pool)
        let outer = TransitLeg(engine, limit: 0, pool: pool)
        inner.charge = charge
        outer.answerTimer = engine.loop.schedule(after: engine.answerLimit) { [weak outer] _ in
            outer?.unanswered()
        }
        inner.other = outer
        outer.other = inner
        if isSigner { outer.signed = open }
        return (inner, outer)
    }

    // MARK: Set-up; these come on the leg towards the egress

    /// Nobody answers: neither side holds a place here any longer.
    private func unanswered() {
        answerTimer = nil
        guard !isOpen, let other else { return }
        carrier?.conduit.send(.cancel, label: label)
        detach()
        other.refuse(Refused(by: engine.view.proxy, reason: .noRoute))
    }

    private func cancelTimer() {
        if let answerTimer { engine.loop.cancel(answerTimer) }
        answerTimer = nil
    }

    override func receive(_ opened: Opened) throws(StreamViolation) {
        guard !isOpen, isOpener, let other else { throw .unexpected(.opened) }
        cancelTimer()
        if let signed {
            let isGenuine = engine.view.keys.isGenuine(
                .opened,
                to: signed,
                signer: engine.view.proxy,
                by: opened.egress,
                mac: opened.mac
            )
            guard isGenuine else {
                reset(.protocolError)
                return other.refuse(Refused(by: engine.view.proxy, reason: .noRoute))
            }
        }
        signed = nil
        limit = UInt64(opened.window)
        isOpen = true
        other.isOpen = true
        other.carrier?.conduit.send(.opened, label: other.label) { opened.encode(into: &$0) }
    }

    override func receive(_ refused: Refused) throws(StreamViolation) {
        guard !isOpen, isOpener, let other else { throw .unexpected(.refused) }
        var refused = refused
        if let signed, refused.by == signed.route.last {
            let isGenuine = engine.view.keys.isGenuine(
                .refused,
                to: signed,
                signer: engine.view.proxy,
                by: refused.by,
                reason: refused.reason,
                mac: refused.mac
            )
            if !isGenuine { refused = Refused(by: engine.view.proxy, reason: .noRoute) }
        }
        detach()
        other.refuse(refused)
    }

    private func refuse(_ refused: Refused) {
        carrier?.conduit.send(.refused, label: label) { refused.encode(into: &$0) }
        end()
    }

    /// Comes on the leg towards the ingress.
    override func receiveCancel() throws(StreamViolation) {
        guard !isOpener, let other else { throw .unexpected(.cancel) }
        other.carrier?.conduit.send(.cancel, label: other.label)
        end()
    }

    /// Whether this side chose the label: the leg towards the egress.
    private var isOpener: Bool { label & StreamLabel.answerBit == 0 }

    // MARK: Bytes

    override func receive(data payload: RawSpan, at offset: UInt64) throws(StreamViolation) {
        guard isOpen, let other else { throw .unexpected(.data) }
        try other.take(payload, at: offset)
    }

    private func take(_ payload: RawSpan, at offset: UInt64) throws(StreamViolation) {
        let count = payload.byteCount - DataFrame.headerSize
        guard offset == queue.end else { throw .gap(offset: offset, expected: queue.end) }
        let end = offset + UInt64(count)
        guard end <= limit else { throw .window(end: end, granted: limit) }
        if let finOffset { throw .afterFin(end: end, fin: finOffset) }
        guard engine.mayHold(count, in: queue.pool) else { return resetBoth(.overloaded) }
        queue.append(payload.extracting(DataFrame.headerSize...))
        requestData()
    }

    override func receive(_ fin: Fin) throws(StreamViolation) {
        guard isOpen, let other else { throw .unexpected(.fin) }
        guard other.finOffset == nil, fin.offset == other.queue.end else {
            throw .fin(offset: fin.offset)
        }
        other.finOffset = fin.offset
        other.requestData()
    }

    override func receive(_ acknowledgment: Acknowledgment) throws(StreamViolation) {
        guard isOpen, let other else { throw .unexpected(.acknowledgment) }
        let sent = queue.start + (isFinSent ? 1 : 0)
        guard acknowledgment.offset <= sent else {
            throw .acknowledgment(offset: acknowledgment.offset, sent: sent)
        }
        var frame = acknowledgment
        if engine.isUnderPressure(queue.pool) {
            // Less than the receiver offers, but never less than was let pass already.
            let least = frame.offset + UInt64(StreamReceiver.standardWindow)
            let lowered = max(limit, min(least, frame.offset + UInt64(frame.window)))
            frame.window = UInt32(clamping: lowered - min(lowered, frame.offset))
        }
        limit = max(limit, frame.offset + UInt64(frame.window))
        if isFinSent, frame.offset == sent { isFinAcknowledged = true }
        if isFinAcknowledged, other.isFinAcknowledged {
            // The last word on this stream.
            other.carrier?.conduit.send(.acknowledgment, label: other.label) {
                frame.encode(into: &$0)
            }
            end()
        } else {
            other.acknowledge(frame)
        }
    }

    private func acknowledge(_ frame: Acknowledgment) {
        if let waiting = acknowledgment, waiting.offset > frame.offset { return }
        acknowledgment = frame
        carrier?.acknowledgeSoon(self)
    }

    override func produceAcknowledgment(into buffer: inout FrameBuffer) {
        guard let frame = acknowledgment.take() else { return }
        buffer.append(type: .acknowledgment, label: label) { frame.encode(into: &$0) }
    }

    override func produce(into buffer: inout FrameBuffer, limit: Int) -> Bool {
        var room = limit
        while !queue.isEmpty {
            guard room > 512 else { return true }
            let most = min(room - FrameHeader.size - DataFrame.headerSize, FrameHeader.maximumData)
            let count = min(queue.count, most)
            append(count, to: &buffer)
            room -= count + FrameHeader.size + DataFrame.headerSize
        }
        if let finOffset, !isFinSent {
            isFinSent = true
            buffer.append(type: .fin, label: label) { Fin(offset: finOffset).encode(into: &$0) }
        }
        return false
    }

    private func append(_ count: Int, to buffer: inout FrameBuffer) {
        let offset = queue.start
        queue.appendFrame(count, from: offset, label: label, to: &buffer)
        queue.drop(before: offset + UInt64(count))
    }

    // MARK: The end

    override func receive(_ reset: Reset) {
        detach()
        other?.reset(reset.reason)
        end()
    }

    override func carrierLost() {
        guard let other else { return }
        if other.isOpen || other.isOpener {
            other.reset(.pathLost)
            end()
        } else {
            // The path was lost before the answer: the ingress may try another.
            other.refuse(Refused(by: engine.view.proxy, reason: .noRoute))
        }
    }

    override func violated(_ violation: StreamViolation) { resetBoth(.protocolError) }

    override func shutDown() { resetBoth(.shutdown) }

    override func abandon() {
        other?.detach()
        part()
        detach()
    }

    private func resetBoth(_ reason: Reset.Reason) {
        reset(reason)
        other?.reset(reason)
        end()
    }

    private func reset(_ reason: Reset.Reason) {
        guard let carrier else { return }
        carrier.conduit.send(.reset, label: label) { Reset(reason: reason).encode(into: &$0) }
        detach()
    }

    /// Undoes `pair`.
    func part() {
        cancelTimer()
        other?.cancelTimer()
        other?.other = nil
        other = nil
    }

    /// Gives both labels back and parts the legs.
    private func end() {
        guard let other else { return }
        part()
        detach()
        other.detach()
        engine.remove(self)
        engine.remove(other)
    }
}
