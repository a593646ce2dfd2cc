import NetworkModel
import SiteControl
import Wire

/// The control's hand on one loop: lanes, listeners and the stream engine of that loop.
final class LoopAgent {
    let loop: EventLoop
    let core: ProxyCore
    let engine: StreamEngine
    private var sessions: [LaneID: LaneSession] = [:]
    private lazy var laneListeners = ListenerSet<LanePort>(
        on: loop,
        open: { [unowned self] (port) throws(SystemError) in try open(port) },
        tried: { [core, index = loop.index] port, failure in
            core.tellControl { $0.feed(.lanePort(port, loop: index, failure: failure)) }
        }
    )
    private lazy var clientListeners = ListenerSet<ListenPlace>(
        on: loop,
        open: { [unowned self] (place) throws(SystemError) in try open(place) },
        tried: { [core, index = loop.index] place, failure in
            core.tellControl { $0.feed(.clientPlace(place, loop: index, failure: failure)) }
        }
    )
    /// Whose clients come to which place: another service port may take a place over.
    private var served: [ListenPlace: ServicePort] = [:]
    /// Accepted lanes whose neighbors have not been admitted yet.
    private var handshakes: HandshakeSlots

    private static let measureInterval: Duration = .milliseconds(200)

    init(loop: EventLoop, core: ProxyCore, view: DataPlaneView) {
        self.loop = loop
        self.core = core
        handshakes = HandshakeSlots(
            share: DescriptorShares.ofProcess.handshakes,
            loops: core.loops
        )
        engine = StreamEngine(loop: loop, view: view, plane: core.plane)
        measureLater()
    }

    /// Resets every connection and ends every lane; the loop stops afterwards.
    func shutDown() {
        laneListeners.set([])
        clientListeners.set([])
        engine.resetAll()
        for session in sessions.values { session.end(LaneClosing(.shutdown)) }
    }

    private func measureLater() {
        let due = EventLoop.clock() + Self.measureInterval
        loop.schedule(at: due) { [weak self] _ in
            guard let self else { return }
            core.noteLag(max(EventLoop.clock() - due, .zero), loop: loop.index)
            measure()
            measureLater()
        }
    }

    /// Tells what is counted here.
    func measure() {
        for session in sessions.values { session.measure() }
        core.setStreams(engine.streamCount, loop: loop.index)
        core.noteHeld(engine.heldBytes, loop: loop.index)
    }

    /// Tells what was moved as well: it takes a look at every stream.
    func measureAll() {
        measure()
        engine.tellMoved()
    }

    // MARK: Lanes

    func dial(_ order: DialOrder) {
        let session = LaneSession(
            id: order.id,
            purpose: order.purpose,
            hello: order.hello,
            token: order.token,
            agent: self
        )
        sessions[order.id] = session
        let lane = Lane(
            dialing: order.endpoint,
            Lane.Parameters(
                context: core.current.context,
                health: order.health,
                expectedSites: order.expectedSites
            ),
            delegate: session,
            on: loop
        )
        session.start(lane)
    }

    private func accept(
        _ socket: consuming FileDescriptor,
        from endpoint: Endpoint,
        _ purpose: LanePurpose
    ) {
        guard sessions.count < Self.laneLimit else { return }
        let acceptance = core.current
        let session = LaneSession(
            id: core.makeLaneID(),
            purpose: purpose,
            hello: nil,
            agent: self
        )
        sessions[session.id] = session
        if let evicted = handshakes.take(session.id, from: endpoint.address) {
            DescriptorBudget.countHandshake(-1)
            sessions[evicted]?.end(LaneClosing(.overloaded, "too many lanes are being set up"))
        }
        DescriptorBudget.countHandshake(1)
        let lane = Lane(
            accepting: socket,
            from: endpoint,
            Lane.Parameters(context: acceptance.context, health: acceptance.health),
            delegate: session,
            on: loop
        )
        session.start(lane)
    }

    /// The neighbor of this lane was admitted, or the lane has ended.
    func handshakeEnded(_ id: LaneID) {
        if handshakes.free(id) { DescriptorBudget.countHandshake(-1) }
    }

    /// Takes over an accepted lane from another loop.
    func adopt(_ lane: Lane, id: LaneID, purpose: LanePurpose, hello: Hello, answer: Hello) {
        let session = LaneSession(id: id, purpose: purpose, hello: nil, agent: self)
        sessions[id] = session
        lane.delegate = session
        session.start(lane)
        session.welcome(hello, with: answer)
    }

    func decide(_ id: LaneID, _ admission: LaneAdmission) { sessions[id]?.decide(admission) }

    func send(_ type: FrameType, _ payload: [UInt8], on id: LaneID) {
        sessions[id]?.send(type, payload)
    }

    func resumeReading(_ id: LaneID) { sessions[id]?.resumeReading() }

    func close(_ id: LaneID, _ closing: LaneClosing) { sessions[id]?.end(closing) }

    /// The lane carries nothing new; the neighbor is asked to do the same.
    func retire(_ id: LaneID) { sessions[id]?.retire() }

    func retime(_ id: LaneID, _ hello: Hello) { sessions[id]?.retime(hello) }

    func forget(_ session: LaneSession) {
        sessions[session.id] = nil
        handshakeEnded(session.id)
    }

    /// The control hears of the end after the lane's last frames.
    ///
    /// `account` is that of its site, if the lane was up.
    func sessionEnded(
        _ session: LaneSession,
        _ reason: LaneCloseReason,
        wasUpOn account: AccountNumber?
    ) {
        forget(session)
        let (id, end) = (session.id, reason.end)
        core.tellControl(on: account) { $0.ended(id, end, wasUp: account != nil) }
    }

    /// Far beyond 1,000 sites with eight lanes each.
    private static let laneLimit = 16_384

    // MARK: Listeners

    /// Accepts lanes on exactly these ports.
    func setLanePorts(_ ports: [LanePort]) { laneListeners.set(ports) }

    /// Accepts clients at exactly these addresses.
    func setClientListeners(_ wanted: [ClientListener]) {
        let new = Dictionary(
            wanted.map { ($0.place, $0.service) },
            uniquingKeysWith: { first, _ in first }
        )
        // Clients that wait where a listener ends are still for whoever listened there.
        served.merge(new) { _, new in new }
        clientListeners.set(wanted.map(\.place))
        served = new
    }

    private func open(_ port: LanePort) throws(SystemError) -> Listener {
        try Listener(
            address: core.options.bind,
            port: port.port,
            purpose: .lane,
            on: loop
        ) { [unowned self] socket, endpoint in
            accept(socket, from: endpoint, port.purpose)
        }
    }

    private func open(_ place: ListenPlace) throws(SystemError) -> Listener {
        try Listener(
            address: place.address,
            port: place.port,
            purpose: .service,
            on: loop
        ) { [unowned self] socket, client in
            guard let service = served[place] else { return }
            engine.accepted(socket, service: service, client: client)
        }
    }
}
