import NetworkModel
import ProxyContract
import TLS
import Wire

/// One TLS 1.3 connection to a neighbor that carries frames; confined to its loop.
///
/// Order of sending: heartbeats, then control frames in the order of `send`, then data that the delegate appends when
/// asked. Everything of one turn leaves with one flush. Memory: one partial frame each way, one batch of ciphertext
/// that the socket did not take (<= 320 KiB), and at most `controlCountMax` bytes of control frames. The loop keeps
/// the lane alive until it ends.
final class Lane: EventHandler {
    enum Side: Hashable, Sendable { case dialer, acceptor }

    /// What a lane is made with.
    struct Parameters: Sendable {
        var context: TLSContext
        var health: HealthParameters
        /// The SiteIDs that a dialer pins; nil for acceptors and for sidecars' gateways, which the delegate checks.
        var expectedSites: Set<SiteID>?
        /// For the TCP connection, before the 5 s of the handshake.
        var connectTimeout: Duration

        init(
            context: TLSContext,
            health: HealthParameters,
            expectedSites: Set<SiteID>? = nil,
            connectTimeout: Duration = .seconds(5)
        ) {
            self.context = context
            self.health = health
            self.expectedSites = expectedSites
            self.connectTimeout = connectTimeout
        }
    }

    enum State {
        case connecting(Connector)
        case handshaking
        case established
        /// What is queued leaves, then the delegate is told the reason.
        case closing(LaneCloseReason)
        /// The delegate was told; the socket waits for the neighbor's end so that our last frames arrive.
        case lingering
        case ended
    }

    /// Bytes of queued control frames beyond which the lane ends with `.overflow`.
    static let controlCountMax = 4 * 1024 * 1024
    static let handshakeTimeout = Duration.seconds(5)
    /// How long the end of a lane may take: for CLOSE to leave, and for the neighbor to end its side.
    static let closeTimeout = Duration.seconds(1)
    /// What the kernel may hold unsent on a fast path.
    static let unsentLimitMax: Int32 = 128 * 1024

    let side: Side
    /// The address at the other end of the TCP connection.
    let remote: Endpoint
    /// Cleared after `laneClosed`.
    var delegate: (any LaneDelegate)?
    /// Verified; nil until `laneEstablished`.
    var neighbor: NeighborIdentity?
    /// May be changed at any time; takes effect with the next heartbeat.
    var health: HealthParameters
    let loop: EventLoop
    let expectedSites: Set<SiteID>?

    var state = State.handshaking
    var socket: FileDescriptor?
    var session: TLSSession?
    var registration: RegistrationID?
    var isReadable = false
    /// A short read proves nothing any more.
    var readsToEnd = false
    var isWritable = false

    /// Plaintext from which no whole frame could be taken yet.
    var partial: [UInt8] = []
    /// `partial` may hold whole frames: it came from another loop, or delivering stopped before the end.
    var mayHoldFrames = false
    /// The owner wants no more frames for now.
    var isPaused = false
    var control = FrameBuffer()
    /// Ciphertext that the socket did not take.
    let unsent = Ciphertext()
    var wantsData = false
    var isDelivering = false
    var framesReceived: UInt64 = 0
    var liveness: LaneLiveness
    var pace: DeliveryPace
    /// Bytes that came, as they were encrypted.
    var receivedBytes: UInt64 = 0
    /// The next look at how much was delivered.
    var paceTimer: TimerID?
    var lastLook: Instant
    /// What the kernel was told with TCP_NOTSENT_LOWAT.
    var unsentLimit: Int32 = Lane.unsentLimitMax
    /// The limit of the handshake, and later of the end.
    var timer: TimerID?
    /// When the neighbor is judged.
    var deadline: TimerID?
    /// The next heartbeat.
    var heartbeat: TimerID?
    /// On whose account the loop works for it.
    var account = AccountNumber.strangers {
        didSet { if let registration { loop.setAccount(account, of: registration) } }
    }
    var handover: (mailbox: Mailbox, adopt: @Sendable (Lane, EventLoop) -> Void)?

    /// What both ends of this TLS session know, and nobody else; nil before the handshake is done, and after the end.
    func exportKey(label: String) -> [UInt8]? { session?.exportKey(label: label, count: 32) }

    /// Connects, then does the dialer's half of the handshake.
    init(
        dialing endpoint: Endpoint,
        _ parameters: Parameters,
        delegate: any LaneDelegate,
        on loop: EventLoop
    ) {
        side = .dialer
        remote = endpoint
        health = parameters.health
        expectedSites = parameters.expectedSites
        liveness = LaneLiveness(at: loop.now)
        pace = DeliveryPace(at: loop.now)
        lastLook = loop.now
        self.delegate = delegate
        self.loop = loop
        let connector = Connector(
            to: endpoint,
            timeout: parameters.connectTimeout,
            on: loop
        ) { [self] result in
            // A lane that was closed meanwhile cancels its connector: this is not called then.
            do throws(SystemError) {
                let socket = try result.get()
                try socket.setRelayOptions()
                begin(consume socket, parameters.context, .client)
            } catch {
                end(.connect(error))
            }
        }
        state = .connecting(connector)
    }

    /// Does the acceptor's half of the handshake on a socket that a `Listener` accepted.
    init(
        accepting socket: consuming FileDescriptor,
        from endpoint: Endpoint,
        _ parameters: Parameters,
        delegate: any LaneDelegate,
        on loop: EventLoop
    ) {
        side = .acceptor
        remote = endpoint
        health = parameters.health
        expectedSites = parameters.expectedSites
        liveness = LaneLiveness(at: loop.now)
        pace = DeliveryPace(at: loop.now)
        lastLook = loop.now
        self.delegate = delegate
        self.loop = loop
        begin(socket, parameters.context, .server)
    }

    /// Goes on with a lane of another loop.
    init(adopting cargo: consuming LaneCargo, on loop: EventLoop) {
        side = cargo.side
        remote = cargo.remote
        health = cargo.health
        expectedSites = nil
        neighbor = cargo.neighbor
        liveness = cargo.liveness
        pace = cargo.pace
        lastLook = loop.now
        framesReceived = 1
        partial = cargo.partial
        mayHoldFrames = !cargo.partial.isEmpty
        unsentLimit = cargo.unsentLimit
        self.loop = loop
        control = cargo.control.take() ?? FrameBuffer()
        socket = cargo.socket.take()
        session = cargo.session.take()
        state = .established
        unsafe cargo.unsent.withBytes { unsafe unsent.append($0) }
    }

    /// True between `laneEstablished` and the first sign of an end.
    var isEstablished: Bool {
        if case .established = state { true } else { false }
    }

    /// Smoothed, from heartbeats; nil until the first echo.
    var roundTrip: Duration? { liveness.roundTrip }
    var leastRoundTrip: Duration? { liveness.least }

    /// Reads no more until `resumeReading`: the frames so far are more than the owner can deal with.
    ///
    /// May be called from within a delivery. Heartbeats go on; the neighbor is not judged for what is not read.
    func pauseReading() { isPaused = true }

    func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        liveness.resumed(at: loop.now)
        if let registration { loop.resume(registration) }
    }

    func loopEnded() {
        state = .ended
        delegate = nil
        release()
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        if !events.isDisjoint(with: [.readable, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.readsToEnd, .failed]) { readsToEnd = true }
        if !events.isDisjoint(with: [.writable, .failed]) { isWritable = true }
        if !events.isDisjoint(with: [.readable, .failed, .resumed]) { receive() }
        if events.contains(.turnEnd) {
            flush()
        } else if !events.isDisjoint(with: [.writable, .resumed]), hasSomethingToSend {
            requestFlush()
        }
    }
}

// MARK: - Beginning and ending

extension Lane {
    private func begin(
        _ socket: consuming FileDescriptor,
        _ context: TLSContext,
        _ role: TLSSession.Role
    ) {
        state = .handshaking
        let number = socket.number
        do {
            try configure(socket)
            self.socket = consume socket
            session = try TLSSession(context: context, role: role)
            registration = try loop.register(self, descriptor: number, on: account)
        } catch let error as TLSError {
            return endLater(.handshake(error))
        } catch let error as SystemError {
            return endLater(.connection(error))
        } catch {
            preconditionFailure("no other error is thrown here: \(error)")
        }
        timer = loop.schedule(after: Self.handshakeTimeout) { [self] _ in
            timer = nil
            end(.handshakeTimeout)
        }
        // The client speaks first.
        if role == .client { requestFlush() }
    }

    private func configure(_ socket: borrowing FileDescriptor) throws(SystemError) {
        // The last frames of a lane shall arrive: it ends with a FIN.
        try socket.setAbortive(false)
        // For ends that nobody judges any more. A neighbor that takes nothing is judged long before, by `LaneLiveness`: the
        // kernel's limit also runs while a slow path closes its window again and again, though it goes on taking bytes.
        try socket.setUserTimeout(max(.seconds(20), health.heartbeat * (2 * health.misses)))
        try socket.limitUnsentBytes(to: Self.unsentLimitMax)
    }

    /// Ends the lane from within a call of its owner.
    func endLater(_ reason: LaneCloseReason) {
        loop.schedule(after: .zero) { [self] _ in end(reason) }
    }

    /// Sends what is queued and CLOSE, then ends; `laneClosed(.closedHere)` follows in a later call.
    func close(_ closing: LaneClosing) {
        close(saying: closing, as: .closedHere(closing))
    }

    /// Says `closing` to the neighbor and `reason` to the delegate.
    func close(saying closing: LaneClosing, as reason: LaneCloseReason) {
        switch state {
        case .connecting(let connector):
            connector.cancel()
            endLater(reason)
        case .handshaking:
            endLater(reason)
        case .established:
            var writer = FrameWriter()
            closing.encode(into: &writer)
            control.append(
                type: FrameType.close.rawValue,
                label: 0,
                payload: writer.bytes
            )
            state = .closing(reason)
            cancelTimers()
            timer = loop.schedule(after: Self.closeTimeout) { [self] _ in
                timer = nil
                end(reason)
            }
            requestFlush()
        case .closing, .lingering, .ended:
            break
        }
    }

    /// Ends the lane: closes the socket and tells the delegate, once.
    func end(_ reason: LaneCloseReason) {
        let wasLingering = if case .lingering = state { true } else { false }
        if case .ended = state { return }
        if case .connecting(let connector) = state { connector.cancel() }
        state = .ended
        release()
        if !wasLingering { tell(reason) }
    }

    /// Tells the delegate while the socket stays for the neighbor's end.
    func linger(_ reason: LaneCloseReason) {
        state = .lingering
        cancelTimers()
        timer = loop.schedule(after: Self.closeTimeout) { [self] _ in
            timer = nil
            end(reason)
        }
        tell(reason)
    }

    private func tell(_ reason: LaneCloseReason) {
        let delegate = delegate
        self.delegate = nil
        delegate?.laneClosed(self, reason)
    }

    /// Lets go of everything that the loop or the kernel holds for this lane.
    func release() {
        cancelTimers()
        if let registration { loop.deregister(registration, closing: true) }
        registration = nil
        session = nil
        socket = nil
        partial = []
        control = FrameBuffer()
        unsent.removeAll()
        handover = nil
    }

    func cancelTimers() {
        if let timer { loop.cancel(timer) }
        if let deadline { loop.cancel(deadline) }
        if let heartbeat { loop.cancelPulse(heartbeat) }
        if let paceTimer { loop.cancel(paceTimer) }
        paceTimer = nil
        timer = nil
        deadline = nil
        heartbeat = nil
    }
}
