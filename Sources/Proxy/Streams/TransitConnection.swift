import NetworkModel
import Streaming
import Wire

/// A stream that passes through: carries out what `TransitStream` decides, on two carriers.
final class TransitConnection: StreamOwner {
    private unowned let engine: StreamEngine
    private let charge: StreamCharge
    private var stream: TransitStream
    private var timer = DeadlineTimer()
    var number: UInt64 = 0
    var seat: UInt32 = 0
    /// Towards the ingress, and towards the egress.
    private(set) lazy var inner: StreamEnd = LooseEnd(of: self)
    private(set) lazy var outer: StreamEnd = LooseEnd(of: self)

    /// Both sides have to be given labels, then `start` is called.
    init(_ open: Open, isSigner: Bool, charge: StreamCharge, engine: StreamEngine) {
        self.engine = engine
        self.charge = charge
        stream = TransitStream(
            open,
            isSigner: isSigner,
            through: engine.view.proxy,
            pool: engine.pool(of: charge.account),
            limit: engine.loop.now + engine.answerLimit
        )
    }

    /// As for OPEN.
    init(_ resume: Resume, isSigner: Bool, charge: StreamCharge, engine: StreamEngine) {
        self.engine = engine
        self.charge = charge
        stream = TransitStream(
            resume,
            isSigner: isSigner,
            through: engine.view.proxy,
            pool: engine.pool(of: charge.account),
            limit: engine.loop.now + engine.answerLimit
        )
    }

    /// The request was passed on.
    func start() { arm() }

    private func leg(_ end: StreamEnd) -> TransitStream.Leg { end === inner ? .inner : .outer }
    private func end(_ leg: TransitStream.Leg) -> StreamEnd { leg == .inner ? inner : outer }

    // MARK: What happens

    private func handle(_ input: TransitStream.Input, on leg: TransitStream.Leg) {
        for action in stream.handle(input, on: leg, at: engine.loop.now) { carryOut(action) }
        arm()
    }

    private func arm() {
        // Not kept alive by its timer: whoever ends it cancels that.
        timer.follow(stream.nextDeadline, on: engine.loop) { [weak self] _ in
            self?.timer.clear()
            self?.handle(.deadline, on: .outer)
        }
    }

    func receive(_ frame: LifeFrame, on end: StreamEnd) {
        let leg = leg(end)
        switch frame {
        case .opened(let opened):
            let isGenuine = isGenuine(.opened(by: opened.egress), mac: opened.mac)
            if isGenuine { note(isAllowed: true) }
            handle(.opened(opened, isGenuine: isGenuine), on: leg)
        case .refused(let refused):
            // What a hop on the way says, nobody signs.
            let isOfEgress = refused.by == stream.signed?.route.last
            let isGenuine =
                !isOfEgress
                || isGenuine(.refused(refused.reason, by: refused.by), mac: refused.mac)
            if isOfEgress, isGenuine, refused.reason == .notAllowed { note(isAllowed: false) }
            handle(.refused(refused, isGenuine: isGenuine), on: leg)
        case .resumed(let resumed):
            let isGenuine = isGenuine(.resumed(resumed), mac: resumed.mac)
            handle(.resumed(resumed, isGenuine: isGenuine), on: leg)
        case .cancel: handle(.cancelled, on: leg)
        case .reset(let reason): handle(.reset(reason), on: leg)
        }
    }

    /// What the egress says to a sidecar of this site, the site's status tells.
    private func note(isAllowed: Bool) {
        guard let open = stream.signed as? Open, let entry = engine.view.services[open.service]
        else { return }
        entry.shared.heard(of: open.target, isAllowed: isAllowed, at: engine.loop.now)
    }

    /// Only the gateway that has signed for a sidecar can check; others pass on what they get.
    private func isGenuine(_ answer: StreamAnswer, mac: [UInt8]) -> Bool {
        guard let signed = stream.signed else { return true }
        let view = engine.view
        return view.keys.isGenuine(answer, to: signed, signer: view.proxy, mac: mac)
    }

    func violated(_ violation: StreamViolation, on end: StreamEnd) {
        handle(.violated, on: leg(end))
    }

    func pathLost(_ end: StreamEnd, grace: Duration) {
        handle(grace > .zero ? .pathLost : .revoked, on: leg(end))
    }

    // The ends alone look for ways.
    func retry() {}

    func move(isLeaving: Bool) {
        // The ingress hears itself of the lane that it shares with this proxy.
        if isLeaving, outer.carrier?.isRetired == true { handle(.leaving, on: .outer) }
    }

    func shutDown() { handle(.shutDown, on: .inner) }

    func abandon() {
        stream.abandon()
        timer.cancel(on: engine.loop)
        inner.detach()
        outer.detach()
    }

    // There is no socket here.
    func endIfSilent(for limit: Duration) { arm() }
    var servicePort: ServicePort? { nil }
    // A hop keeps no names.

    // MARK: Bytes

    func receive(
        data payload: RawSpan,
        at offset: UInt64,
        on end: StreamEnd
    ) throws(StreamViolation) {
        let (leg, count) = (leg(end), payload.byteCount - DataFrame.headerSize)
        try stream.receive(dataAt: offset, count: count, on: leg)
        guard engine.mayKeep(count, in: stream.pool) else { return handle(.overloaded, on: leg) }
        stream.keep(payload.extracting(DataFrame.headerSize...), on: leg)
        self.end(leg.other).requestData()
    }

    func receive(_ fin: Fin, on end: StreamEnd) throws(StreamViolation) {
        let leg = leg(end)
        try stream.receive(fin, on: leg)
        self.end(leg.other).requestData()
    }

    func receive(_ acknowledgment: Acknowledgment, on end: StreamEnd) throws(StreamViolation) {
        let leg = leg(end)
        let isScarce = engine.isUnderPressure(stream.pool)
        let isLast = try stream.receive(acknowledgment, on: leg, isScarce: isScarce)
        let other = self.end(leg.other)
        guard isLast else {
            other.carrier?.acknowledgeSoon(other)
            return
        }
        // The last words on this stream: no turn will come for what still waits.
        for leg in TransitStream.Leg.allCases {
            guard let frame = stream.takeAcknowledgment(leavingBy: leg) else { continue }
            self.end(leg).send(.acknowledgment) { frame.encode(into: &$0) }
        }
        for action in stream.finish() { carryOut(action) }
    }

    func produceAcknowledgment(into buffer: inout FrameBuffer, at end: StreamEnd) {
        guard let frame = stream.takeAcknowledgment(leavingBy: leg(end)) else { return }
        buffer.append(type: .acknowledgment, label: end.label) { frame.encode(into: &$0) }
    }

    func produce(into buffer: inout FrameBuffer, limit: Int, at end: StreamEnd) -> Bool {
        stream.produce(into: &buffer, limit: limit, label: end.label, leavingBy: leg(end))
    }

    // MARK: What is done

    private func carryOut(_ action: TransitStream.Action) {
        switch action {
        case .opened(let opened, let leg): end(leg).send(.opened) { opened.encode(into: &$0) }
        case .resumed(let resumed, let leg): end(leg).send(.resumed) { resumed.encode(into: &$0) }
        case .detached(let leg): end(leg).leave()
        case .refused(let refused, let leg):
            end(leg).send(.refused) { refused.encode(into: &$0) }
        case .cancelled(let leg): end(leg).send(.cancel)
        case .reset(let reason, let leg):
            end(leg).send(.reset) { Reset(reason: reason).encode(into: &$0) }
        case .end: close()
        }
    }

    private func close() {
        timer.cancel(on: engine.loop)
        inner.detach()
        outer.detach()
        charge.end()
        engine.remove(self)
    }
}
