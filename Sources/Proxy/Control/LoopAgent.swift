import NetworkModel
import Wire

/// The control plane's hand on one loop: lanes, listeners and the stream engine of that loop.
final class LoopAgent {
    let loop: EventLoop
    let core: ProxyCore
    let engine: StreamEngine
    private var sessions: [LaneID: LaneSession] = [:]
    private var laneListeners: [LanePurpose: Listener] = [:]
    private var clientListeners: [ClientListener: Listener] = [:]
    /// Those that could not be bound, and why; asked for again until they can.
    private var failed: [ClientListener: String] = [:]
    private var isRetrying = false
    /// Accepted lanes whose neighbors have not been let in yet, the oldest first.
    private var strangers: [LaneID] = []

    private static let measureInterval: Duration = .milliseconds(200)
    private static let retry: Duration = .seconds(2)
    /// Handshakes at once: silent clients must not use up what lanes live on.
    private static let strangerLimit = 1_024

    init(loop: EventLoop, core: ProxyCore, view: DataPlaneView) {
        self.loop = loop
        self.core = core
        engine = StreamEngine(loop: loop, view: view, plane: core.plane)
        measureLater()
    }

    /// Resets every connection and ends every lane; the loop stops afterwards.
    func shutDown() {
        for listener in laneListeners.values { listener.close() }
        for listener in clientListeners.values { listener.close() }
        laneListeners = [:]
        clientListeners = [:]
        failed = [:]
        engine.resetAll()
        for session in sessions.values { session.end(LaneClosing(.shutdown)) }
    }

    private func measureLater() {
        loop.schedule(after: Self.measureInterval) { [weak self] _ in
            guard let self else { return }
            for session in sessions.values { session.measure() }
            core.setStreams(engine.streamCount, loop: loop.index)
            measureLater()
        }
    }

    // MARK: Lanes

    func dial(_ order: DialOrder) {
        let session = LaneSession(
            id: order.id,
            purpose: order.purpose,
            hello: order.hello,
            agent: self
        )
        sessions[order.id] = session
        let lane = Lane(
            dialling: order.endpoint,
            order.parameters,
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
        makeRoomForStranger()
        let acceptance = core.current
        let session = LaneSession(
            id: core.makeLaneID(),
            purpose: purpose,
            hello: nil,
            agent: self
        )
        sessions[session.id] = session
        strangers.append(session.id)
        let lane = Lane(
            accepting: socket,
            from: endpoint,
            Lane.Parameters(context: acceptance.context, health: acceptance.health),
            delegate: session,
            on: loop
        )
        session.start(lane)
    }

    private func makeRoomForStranger() {
        guard strangers.count >= Self.strangerLimit else { return }
        let oldest = strangers.removeFirst()
        sessions[oldest]?.end(LaneClosing(.overloaded, "too many lanes are being set up"))
    }

    /// The neighbor of this lane was let in, or the lane has ended.
    func isNoStranger(_ id: LaneID) {
        if let index = strangers.firstIndex(of: id) { strangers.remove(at: index) }
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

    func close(_ id: LaneID, _ closing: LaneClosing) { sessions[id]?.end(closing) }

    func retime(_ id: LaneID, _ hello: Hello) { sessions[id]?.retime(hello) }

    func forget(_ session: LaneSession) {
        sessions[session.id] = nil
        isNoStranger(session.id)
    }

    func sessionEnded(_ session: LaneSession, _ reason: LaneCloseReason, wasUp: Bool) {
        forget(session)
        let id = session.id
        core.tellControl { $0.laneEnded(id, reason, wasUp: wasUp) }
    }

    /// Far beyond 1,000 sites with eight lanes each.
    private static let laneLimit = 16_384

    // MARK: Listeners

    /// Listens for lanes on `port`.
    func listen(_ purpose: LanePurpose, port: UInt16) throws(SystemError) {
        guard laneListeners[purpose] == nil else { return }
        laneListeners[purpose] = try Listener(
            address: core.options.bind,
            port: port,
            purpose: .lane,
            on: loop
        ) { [unowned self] socket, endpoint in
            accept(socket, from: endpoint, purpose)
        }
    }

    func stopListening(_ purpose: LanePurpose) {
        laneListeners.removeValue(forKey: purpose)?.close()
    }

    /// Opens and closes client listeners so that exactly these are open.
    func setClientListeners(_ wanted: [ClientListener]) {
        let set = Set(wanted)
        for (spec, listener) in clientListeners where !set.contains(spec) {
            listener.close()
            clientListeners[spec] = nil
        }
        failed = failed.filter { set.contains($0.key) }
        for spec in wanted where clientListeners[spec] == nil { open(spec) }
        retryLater()
    }

    /// Whoever holds a port may let go of it.
    private func retryLater() {
        guard !failed.isEmpty, !isRetrying else { return }
        isRetrying = true
        loop.schedule(after: Self.retry) { [weak self] _ in
            guard let self else { return }
            isRetrying = false
            for spec in failed.keys { open(spec) }
            retryLater()
        }
    }

    private func open(_ spec: ClientListener) {
        do {
            clientListeners[spec] = try Listener(
                address: spec.address,
                port: spec.port,
                purpose: .service,
                on: loop
            ) { [unowned self] socket, client in
                engine.accepted(socket, service: spec.service, client: client)
            }
            if failed.removeValue(forKey: spec) != nil {
                core.tellControl { $0.listenerTried(spec, nil) }
            }
        } catch {
            let text = "\(error)"
            guard failed[spec] != text else { return }
            failed[spec] = text
            core.tellControl { $0.listenerTried(spec, text) }
        }
    }
}

/// One address at which clients of a service port are awaited.
struct ClientListener: Hashable, Sendable {
    let service: ServicePort
    /// Nil: every address.
    let address: IPAddress?
    let port: UInt16
}
