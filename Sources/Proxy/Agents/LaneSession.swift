import NetworkModel
import ProxyContract
import SiteControl
import TLS
import Wire

/// One lane from its first byte to its last: HELLO, admission, then frames to where they belong.
///
/// The dialer greets first. An accepted lane waits for the control's verdict before it greets, so a neighbor
/// that is not wanted never gets further than its own HELLO.
final class LaneSession: LaneDelegate {
    private enum Phase {
        case connecting
        case awaitingHello
        /// Accepted; the control decides.
        case awaitingAdmission(LaneCandidate)
        case up(StreamCarrier, ProxyID, ControlWindow)
    }

    let id: LaneID
    let purpose: LanePurpose
    let gauge = LaneGauge()
    private(set) var lane: Lane?
    private unowned let agent: LoopAgent
    /// What a dialer greets with.
    private var hello: Hello?
    /// What a dialer proves to hold.
    private let token: TokenConfiguration?
    /// What the dialer of an accepted lane said before its HELLO.
    private var claim: JudgedClaim?
    private var phase = Phase.connecting
    private var helloTimer: TimerID?
    /// While it is up.
    private var meter: LaneMeter?
    /// While it is up, if it is for bulk.
    private var bulkWatch: BulkWatch?

    private static let helloLimit: Duration = .seconds(5)

    init(
        id: LaneID,
        purpose: LanePurpose,
        hello: Hello?,
        token: TokenConfiguration? = nil,
        agent: LoopAgent
    ) {
        self.id = id
        self.purpose = purpose
        self.hello = hello
        self.token = token
        self.agent = agent
    }

    func start(_ lane: Lane) { self.lane = lane }

    // MARK: What the lane tells

    func laneEstablished(_ lane: Lane) {
        phase = .awaitingHello
        if let hello {
            proveToken()
            greet(hello)
        }
        helloTimer = agent.loop.schedule(after: Self.helloLimit) { [self] _ in
            end(LaneClosing(.protocolError, "no HELLO within 5 s"))
        }
    }

    func lane(_ lane: Lane, received type: UInt8, label: UInt32, payload: RawSpan) {
        do {
            guard let known = try FrameType.known(type) else { return }
            if case .up(let carrier, let neighbor, let window) = phase {
                if known.isOfStream {
                    carrier.received(known, label: label, payload)
                } else if known == .retire {
                    carrier.retire()
                } else if known == .hello {
                    try updateHello(payload, of: neighbor)
                } else {
                    deliver(known, payload, from: neighbor, window)
                }
            } else if known == .hello, case .awaitingHello = phase {
                try receiveHello(payload)
            } else if known == .joinClaim, mayClaim {
                claim = try judge(JoinClaim.decode(payload))
            } else {
                end(LaneClosing(.protocolError, "frame \(known) before HELLO"))
            }
        } catch {
            end(LaneClosing(.protocolError, "\(error)"))
        }
    }

    func laneProduceData(_ lane: Lane, into buffer: inout FrameBuffer, limit: Int) -> Bool {
        guard case .up(let carrier, _, _) = phase else { return false }
        return carrier.produceData(into: &buffer, limit: limit)
    }

    func laneClosed(_ lane: Lane, _ reason: LaneCloseReason) {
        cancelTimer()
        measure()
        var account: AccountNumber?
        if case .up(let carrier, _, _) = phase {
            account = carrier.account.number
            DescriptorBudget.countLane(-1)
            meter?.end()
            carrier.closed(isRevoked: reason.isRevocation)
        }
        self.lane = nil
        agent.sessionEnded(self, reason, wasUpOn: account)
    }

    // MARK: HELLO

    private func receiveHello(_ payload: RawSpan) throws(WireError) {
        let hello = try Hello.decode(payload)
        guard let lane, let identity = lane.neighbor else { return }
        cancelTimer()
        guard hello.proxy.site == identity.site, hello.isSidecar == (identity.role == .sidecar)
        else {
            end(
                LaneClosing(
                    .helloContradictsCertificate,
                    "HELLO says \(hello.proxy), the certificate \(identity.site) \(identity.role)"
                )
            )
            return
        }
        let candidate = LaneCandidate(
            id: id,
            loop: agent.loop.index,
            purpose: purpose,
            remote: lane.remote,
            site: identity.site,
            role: identity.role,
            hello: hello,
            claim: claim
        )
        switch lane.side {
        case .acceptor:
            phase = .awaitingAdmission(candidate)
            agent.core.tellControl { $0.feed(.candidate(candidate)) }
        case .dialer:
            guard identity.role == .gateway else {
                end(LaneClosing(.wrongRole, "a sidecar's certificate on a gateway's port"))
                return
            }
            attach(to: hello)
            agent.core.tellControl { [gauge] in
                $0.opened(candidate.id, gauge, .dialed(candidate))
            }
        }
    }

    // MARK: Tokens

    private func proveToken() {
        guard let token, let own = hello?.proxy.site, let session = joinSession(of: own) else {
            return
        }
        let claim = JoinClaim(grant: token.grant, proof: session.proof(under: Array(token.key)))
        lane?.send(FrameType.joinClaim.rawValue, claim.encoded)
    }

    /// Once for a lane, by whoever dials a Link.
    private var mayClaim: Bool {
        guard case .awaitingHello = phase, lane?.side == .acceptor else { return false }
        return purpose == .link && claim == nil
    }

    private func judge(_ claim: JoinClaim) -> JudgedClaim? {
        let grants = agent.core.grants
        guard let lane, let claimant = lane.neighbor?.site else { return nil }
        guard grants.mayJudge(from: lane.remote.address, at: agent.loop.now) else {
            return JudgedClaim(grant: claim.grant, verdict: .unheard)
        }
        return joinSession(of: claimant).map {
            JudgedClaim(grant: claim.grant, verdict: grants.judge(claim, $0))
        }
    }

    private func joinSession(of claimant: SiteID) -> JoinSession? {
        guard let lane, let neighbor = lane.neighbor,
            let exporter = lane.exportKey(label: JoinSession.label)
        else { return nil }
        let own = agent.core.id.site
        let issuer = lane.side == .dialer ? neighbor.site : own
        return JoinSession(exporter: exporter, claimant: claimant, issuer: issuer)
    }

    /// A second HELLO carries other heartbeats, or another grace; nothing else of it may differ.
    private func updateHello(_ payload: RawSpan, of neighbor: ProxyID) throws(WireError) {
        let hello = try Hello.decode(payload)
        guard hello.proxy == neighbor else {
            end(LaneClosing(.protocolError, "a second HELLO of another proxy"))
            return
        }
        lane?.health = .asked(by: hello)
        if lane?.side == .acceptor { follow(hello.resumeGrace) }
    }

    /// How long the lane's streams wait for another path, as the Link has it: the dialer's word.
    private func follow(_ resumeGrace: Duration?) {
        guard case .up(let carrier, _, _) = phase else { return }
        carrier.resumeGrace = resumeGrace ?? ResumeGrace.standard
    }

    /// The control's verdict over an accepted lane.
    func decide(_ admission: LaneAdmission) {
        guard case .awaitingAdmission(let candidate) = phase, let lane, lane.isEstablished
        else { return }
        switch admission {
        case .refused(let closing): end(closing)
        case .admitted(let index, let answer) where index == agent.loop.index:
            welcome(candidate.hello, with: answer)
        case .admitted(let index, let answer):
            // Its new loop makes a session of its own; this one is done.
            let (id, purpose, hello) = (id, purpose, candidate.hello)
            agent.forget(self)
            self.lane = nil
            lane.handOver(to: agent.core.mailboxes[index]) { lane, loop in
                guard let agent = loop.local(LoopAgent.self) else { return }
                agent.adopt(lane, id: id, purpose: purpose, hello: hello, answer: answer)
            }
        }
    }

    /// Greets a neighbor that was admitted, and opens the lane for streams.
    func welcome(_ hello: Hello, with answer: Hello) {
        lane?.health = .asked(by: hello)
        greet(answer)
        attach(to: hello)
        let (id, gauge) = (id, gauge)
        agent.core.tellControl { $0.opened(id, gauge, .welcomed(id)) }
    }

    private func greet(_ hello: Hello) {
        var writer = FrameWriter()
        hello.encode(into: &writer)
        lane?.send(FrameType.hello.rawValue, writer.bytes)
    }

    private func attach(to hello: Hello) {
        guard let lane else { return }
        // The dialer says what a lane is for.
        let isBulk = (self.hello ?? hello).lane != nil
        let carrier = agent.engine.attach(
            lane,
            neighbor: hello.proxy,
            isSidecar: hello.isSidecar,
            knowsResume: hello.minor >= Hello.resumeMinor,
            knowsEarly: hello.minor >= Hello.earlyMinor,
            isBulk: isBulk
        )
        if isBulk {
            bulkWatch = BulkWatch(at: agent.loop.now)
        } else if purpose == .link, hello.minor >= Hello.bulkMinor {
            carrier.dialBulkLane = { [core = agent.core, id] in
                core.tellControl { $0.feed(.bulkLaneWanted(id)) }
            }
        }
        lane.account = carrier.account.number
        phase = .up(carrier, hello.proxy, ControlWindow(account: carrier.account))
        follow((self.hello ?? hello).resumeGrace)
        meter = LaneMeter(
            purpose,
            dialed: self.hello,
            to: hello.proxy.site,
            isBulk: isBulk,
            agent.core.linkMeters
        )
        DescriptorBudget.countLane(1)
        agent.handshakeEnded(id)
    }

    private func cancelTimer() {
        if let helloTimer { agent.loop.cancel(helloTimer) }
        helloTimer = nil
    }

    // MARK: Frames of the adjacency

    private func deliver(
        _ type: FrameType,
        _ payload: RawSpan,
        from neighbor: ProxyID,
        _ window: ControlWindow
    ) {
        let bytes = payload.bytes
        let cost = ControlWindow.cost(bytes.count)
        if window.handedOver(cost) { lane?.pauseReading() }
        let (id, index) = (id, agent.loop.index)
        agent.core.tellControl(on: window.account.number) { control in
            control.feed(.frame(type, bytes, from: neighbor, on: id))
            if window.done(cost) { control.core.tellAgent(index) { $0.resumeReading(id) } }
        }
    }

    /// Loop 0 has caught up.
    func resumeReading() { lane?.resumeReading() }

    /// Sends a control frame, if the lane is up.
    func send(_ type: FrameType, _ payload: [UInt8]) {
        guard case .up = phase else { return }
        lane?.send(type.rawValue, payload)
    }

    /// Dialer: other heartbeats, or another grace, from now on, announced to the neighbor.
    func retime(_ hello: Hello) {
        lane?.health = .init(heartbeat: hello.heartbeat, misses: hello.misses)
        self.hello = hello
        guard case .up = phase else { return }
        follow(hello.resumeGrace)
        greet(hello)
    }

    /// Others take the lane's place: this side opens no stream on it any more, and the neighbor is told.
    func retire() {
        guard case .up(let carrier, _, _) = phase else { return }
        carrier.retire()
        lane?.send(FrameType.retire.rawValue, [])
    }

    func end(_ closing: LaneClosing) { lane?.close(closing) }

    /// Brings the gauge up to date.
    func measure() {
        guard case .up(let carrier, _, _) = phase else { return }
        gauge.update(
            roundTrip: lane?.roundTrip,
            active: carrier.activeStreams,
            opened: carrier.openedStreams
        )
        if let lane { meter?.update(sent: lane.pace.written, received: lane.receivedBytes) }
        watchBulk(carrier)
    }

    /// A lane for bulk is closed by the side that dialed it once no stream has crossed it for a while.
    private func watchBulk(_ carrier: StreamCarrier) {
        let isEmpty = carrier.activeStreams == 0
        switch bulkWatch?.look(isEmpty: isEmpty, at: agent.loop.now) {
        case .rest: carrier.lookForRest()
        case .close where lane?.side == .dialer: end(LaneClosing(.superfluous, "no bulk any more"))
        case .close, .nothing, nil: break
        }
    }
}

extension RawSpan {
    /// A copy that outlives the frame.
    var bytes: [UInt8] {
        unsafe withUnsafeBytes { unsafe [UInt8]($0) }
    }
}

extension HealthParameters {
    /// The heartbeats that a dialer asks for, within what one neighbor may make this proxy do.
    ///
    /// Ours are sent at its interval, but no more than ten a second: no lane is judged by less than three retransmission
    /// time-outs. A neighbor is believed to live for two minutes at most.
    static func asked(by hello: Hello) -> HealthParameters {
        let interval = max(hello.heartbeat, .milliseconds(100))
        let patience = min(hello.heartbeat * hello.misses, .seconds(120))
        let misses = Int(patience.wholeNanoseconds / interval.wholeNanoseconds)
        return HealthParameters(heartbeat: interval, misses: max(2, misses))
    }
}
