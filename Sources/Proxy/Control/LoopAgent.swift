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
    /// Those that could not be bound, not to be reported again every time.
    private var failed: [ClientListener: String] = [:]

    private static let measureInterval: Duration = .milliseconds(200)

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
        let acceptance = core.current
        let session = LaneSession(
            id: core.makeLaneID(),
            purpose: purpose,
            hello: nil,
            agent: self
        )
        sessions[session.id] = session
        let lane = Lane(
            accepting: socket,
            from: endpoint,
            Lane.Parameters(context: acceptance.context, health: acceptance.health),
            delegate: session,
            on: loop
        )
        session.start(lane)
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

    func forget(_ session: LaneSession) { sessions[session.id] = nil }

    func sessionEnded(_ session: LaneSession, _ reason: LaneCloseReason, wasUp: Bool) {
        sessions[session.id] = nil
        let (id, remote) = (session.id, session.purpose)
        core.tellControl { $0.laneEnded(id, purpose: remote, reason, wasUp: wasUp) }
    }

    /// Far beyond 1,000 sites with eight lanes each.
    private static let laneLimit = 16_384

    // MARK: Listeners

    /// Listens for lanes on `port`, or stops.
    func listen(_ purpose: LanePurpose, port: UInt16, isOn: Bool) throws(SystemError) {
        guard isOn else {
            laneListeners.removeValue(forKey: purpose)?.close()
            return
        }
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

    /// Opens and closes client listeners so that exactly these are open.
    func setClientListeners(_ wanted: [ClientListener]) {
        let set = Set(wanted)
        for (spec, listener) in clientListeners where !set.contains(spec) {
            listener.close()
            clientListeners[spec] = nil
        }
        failed = failed.filter { set.contains($0.key) }
        for spec in wanted where clientListeners[spec] == nil { open(spec) }
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
                core.tellControl { $0.listenerFailed(spec, nil) }
            }
        } catch {
            let text = "\(error)"
            guard failed[spec] != text else { return }
            failed[spec] = text
            core.tellControl { $0.listenerFailed(spec, text) }
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
