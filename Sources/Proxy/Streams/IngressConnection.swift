import Balancing
import NetworkModel
import Streaming
import Wire

/// A client's connection: carries out what `IngressStream` decides, on sockets, carriers, balancers and a timer.
final class IngressConnection: StreamEnd, SocketStream {
    let engine: StreamEngine
    let service: SharedService
    // In an order without gaps.
    var stream: IngressStream
    let client: Endpoint
    var seat: UInt32 = 0
    var part: SocketPart
    var holdings = StreamHoldings()
    let introducesClients: Bool
    /// First bytes of the client travel with OPEN.
    let isEarly: Bool
    var number: UInt64 = 0
    /// The number in its name; 0 when there is none.
    private var nameNumber: UInt64 = 0
    private var timer = DeadlineTimer()
    /// What was told to the service.
    private var told = MovedBytes()
    var errand: Errand?

    /// What there is for a while, or for as long as the server is one of this site.
    enum Errand {
        case connecting(LocalConnector)
        case relayed(PlainRelay)
        /// What was sent last, until it is answered.
        case asked(Boxed<Question>)
    }

    enum Question {
        case open(Open)
        /// With the end on its path.
        case resume(Resume, StreamEnd)
    }

    var flow: StreamFlow {
        _read { yield stream.flow }
        _modify { yield &stream.flow }
    }

    init(
        _ socket: consuming FileDescriptor,
        client: Endpoint,
        entry: ServiceEntry,
        engine: StreamEngine
    ) {
        self.client = client
        self.engine = engine
        service = entry.shared
        introducesClients = entry.introducesClients
        isEarly = entry.isEarly
        part = SocketPart(socket)
        let now = engine.loop.now
        let flow = StreamFlow(
            engine.pool,
            window: engine.initialWindow,
            hasSocket: true,
            at: now
        )
        stream = IngressStream(flow, timeouts: entry.timeouts, at: now)
    }

    deinit { if part.socket != nil { Mishap.tell("a client was dropped before it was closed") } }

    override var owner: any StreamOwner { self }
    var end: StreamEnd { self }
    var servicePort: ServicePort? { service.service }

    /// What others know it by; nil before OPEN.
    var name: StreamName? {
        nameNumber > 0 ? StreamName(ingress: engine.view.proxy, number: nameNumber) : nil
    }

    private var relay: PlainRelay? {
        if case .relayed(let relay)? = errand { relay } else { nil }
    }

    // MARK: What happens

    func start() { if isEarly { listen() } else { handle(.start) } }

    func handle(_ input: IngressStream.Input) {
        for action in stream.handle(input, at: engine.loop.now) { carryOut(action) }
        follow()
        arm()
        engine.note(self, isDetached: stream.state.isDetached)
    }

    func tell(_ event: SocketEvent) {
        switch event {
        case .failed: handle(.clientFailed)
        case .finished: handle(.finished)
        case .violated: handle(.violated)
        case .overloaded: handle(.overloaded)
        case .touched: touch()
        case .answered: answered()
        case .limitChanged: arm()
        case .readable: spoke()
        }
    }

    func touch() {
        guard !holdings.isTouched else { return }
        holdings.isTouched = true
        service.touched()
    }

    func endOfSocket() -> Bool {
        stream.flow.endOfSocket(at: engine.loop.now)
        return false
    }

    func receive(_ frame: LifeFrame, on end: StreamEnd) {
        switch frame {
        case .opened(let opened):
            handle(.opened(opened, isGenuine: isGenuine(opened)))
        case .resumed(let resumed) where end === attempt:
            handle(.resumed(resumed, isGenuine: isGenuine(resumed)))
        case .refused(let refused) where end === attempt:
            let isGenuine = isGenuineBack(refused)
            forgetAttempt()
            handle(.refusedBack(refused.reason, isGenuine: isGenuine))
        case .refused(let refused):
            handle(.refused(refused.reason, by: refused.by, isGenuine: isGenuine(refused)))
        case .reset where end === attempt:
            forgetAttempt()
            handle(.attemptLost)
        case .reset(let reason): handle(.reset(reason))
        // The ingress alone gives a stream up, and nobody else asked to come back.
        case .cancel, .resumed: handle(.violated)
        }
    }

    func violated(_ violation: StreamViolation, on end: StreamEnd) { handle(.violated) }

    func pathLost(_ end: StreamEnd, grace: Duration) {
        guard end === attempt else { return handle(.pathLost(grace: grace)) }
        forgetAttempt()
        handle(.attemptLost)
    }

    func retry() { handle(.retry) }

    func proxiesEnded(_ proxies: Set<ProxyID>) { handle(.proxiesEnded(proxies)) }

    func move(isLeaving: Bool) {
        guard let joined = stream.state.joined else { return }
        if isLeaving || service.ways(to: joined.pick.site).map(joined.hasBetter) == true {
            handle(.move)
        }
    }

    func shutDown() { handle(.shutDown) }

    func abandon() {
        stream.abandon()
        attempt?.detach()
        end.detach()
        forgetName()
        timer.cancel(on: engine.loop)
        closeSocket(inOrder: false)
    }

    func endIfSilent(for limit: Duration) {
        arm()
        if let relay { relay.endIfSilent(for: limit) } else { endIfSocketIsSilent(for: limit) }
    }

    private func arm() {
        timer.follow(stream.nextDeadline, on: engine.loop) { [self] _ in
            timer.clear()
            handle(.deadline)
        }
    }

    // MARK: What is done

    private func carryOut(_ action: IngressStream.Action) {
        let now = engine.loop.now
        switch action {
        case .pick(let excluded): pick(excluding: excluded)
        case .connect(let excluded): connect(excluding: excluded)
        case .stopConnecting: stopConnecting()
        case .abortRelay: relay?.abort()
        case .seek(let pick, let tried): seek(pick, tried)
        case .seekBack(let joined, let tried): seekBack(joined, tried)
        case .takeOver: takeOver()
        case .dropAttempt: forgetAttempt()
        case .cancel:
            end.send(.cancel)
            leaveWay()
        case .reset(let reason):
            for end in [end, attempt] {
                end?.send(.reset) { Reset(reason: reason).encode(into: &$0) }
            }
            attempt?.detach()
            leaveWay()
        case .leave: leaveWay()
        case .opened(let pick):
            asksNothing()
            service.opened(pick, after: now - stream.began, at: now)
        case .resumed(let pick): service.resumed(pick, at: now)
        case .release(let pick):
            tellMoved(with: pick.site)
            service.release(pick)
        case .failed(let pick, let reason): service.failed(pick, reason: reason, at: now)
        case .lost(let pick):
            tellMoved(with: pick.site)
            service.lost(pick, at: now)
        case .serverReleased(let server): service.serverReleased(server)
        case .serverFailed(let server, let fault): service.serverFailed(server, fault, at: now)
        case .wayAnswered(let way, let time):
            engine.plane.withRoutes { $0.answered(way, after: time, at: now) }
        case .wayFailed(let way, let reason):
            engine.plane.withRoutes { $0.failed(way, reason: reason, at: now) }
        case .wayAbandoned(let way): engine.plane.withRoutes { $0.abandoned(way) }
        case .count(let event): service.count(event)
        case .close(let isInOrder): close(inOrder: isInOrder)
        }
    }

    // MARK: What is measured

    /// The first byte of the server came.
    func answered() {
        guard let site = stream.target else { return }
        service.answered(by: site, after: engine.loop.now - stream.began)
    }

    /// Tells the service how many bytes were moved since the last time.
    func tellMoved() {
        if let site = stream.target { tellMoved(with: site) }
    }

    private func tellMoved(with site: SiteID) {
        let moved =
            relay.map { MovedBytes(toServer: $0.bytesToServer, toClient: $0.bytesToClient) }
            ?? MovedBytes(toServer: stream.flow.sender.sent, toClient: stream.flow.receiver.next)
        guard moved.toServer > told.toServer || moved.toClient > told.toClient else { return }
        service.moved(
            MovedBytes(
                toServer: moved.toServer - min(told.toServer, moved.toServer),
                toClient: moved.toClient - min(told.toClient, moved.toClient)
            ),
            with: site
        )
        // What is sent again over another path was told.
        told = MovedBytes(
            toServer: max(told.toServer, moved.toServer),
            toClient: max(told.toClient, moved.toClient)
        )
    }

    private func pick(excluding excluded: [SiteID]) {
        let pick = service.pick(excluding: excluded, at: engine.loop.now)
        let view = engine.view
        handle(.picked(pick, isLocal: pick?.site == view.proxy.site && !view.isSidecar))
    }

    /// Gives the label back: another stream could be opened.
    private func leaveWay() {
        forgetAttempt()
        end.detach()
        forgetName()
        stream.flow.draw(on: engine.pool)
    }

    /// OPEN is about to be sent.
    func asks(_ open: Open) {
        errand = .asked(Boxed(.open(open)))
        nameNumber = open.name.number
    }

    /// RESUME is about to be sent by `end`.
    func asks(_ resume: Resume, by end: StreamEnd) {
        errand = .asked(Boxed(.resume(resume, end)))
    }

    /// Nothing that was asked is waited for.
    func asksNothing() { if case .asked? = errand { errand = nil } }

    private var asked: Question? {
        if case .asked(let question)? = errand { question.value } else { nil }
    }

    /// The OPEN that waits for its answer.
    var openAsked: Open? {
        if case .open(let open)? = asked { open } else { nil }
    }

    /// The RESUME that waits for its answer.
    var resumeAsked: Resume? {
        if case .resume(let resume, _)? = asked { resume } else { nil }
    }

    /// On the path of that RESUME.
    var attempt: StreamEnd? {
        if case .resume(_, let end)? = asked { end } else { nil }
    }

    private func forgetName() {
        asksNothing()
        nameNumber = 0
    }

    private func close(inOrder: Bool) {
        forgetAttempt()
        end.detach()
        forgetName()
        closeSocket(inOrder: inOrder)
        service.left(isTouched: holdings.isTouched)
        engine.remove(self)
    }
}
