import Balancing
import NetworkModel
import Streaming
import Wire

/// A stream's connection to a server: carries out what `EgressStream` decides, on sockets, the carrier and the balancer.
final class EgressConnection: StreamEnd, SocketStream {
    let engine: StreamEngine
    private let service: SharedService
    // In an order without gaps.
    private var stream: EgressStream
    var seat: UInt32 = 0
    var part = SocketPart(nil)
    var holdings = StreamHoldings()
    private let introducesClients: Bool
    var number: UInt64 = 0
    private var timer = DeadlineTimer()
    /// For how long an ingress that has lost the path tries to come back.
    private var graceNanoseconds: Int64
    private var errand: Errand?
    /// Of the neighbor that sent the OPEN.
    private let charge: StreamCharge

    /// What there is only until a server has accepted.
    private final class Errand {
        /// Until it is answered.
        var open: Open?
        var connector: LocalConnector?

        init(_ open: Open? = nil) { self.open = open }
    }

    var flow: StreamFlow {
        _read { yield stream.flow }
        _modify { yield &stream.flow }
    }

    /// `charge` is what it draws from the account of the neighbor that sent the OPEN over `carrier`.
    init(
        _ open: Open,
        over carrier: StreamCarrier,
        _ entry: ServiceEntry,
        charge: StreamCharge,
        engine: StreamEngine
    ) {
        self.engine = engine
        self.charge = charge
        service = entry.shared
        introducesClients = entry.introducesClients
        graceNanoseconds = engine.resumeGrace.wholeNanoseconds
        let flow = StreamFlow(
            engine.pool(of: charge.account),
            window: engine.initialWindow(over: carrier, isAll: open.route.count == 1),
            hasSocket: false,
            at: engine.loop.now
        )
        stream = EgressStream(open, flow, timeouts: entry.timeouts)
        var asked = open
        asked.early = []
        errand = Errand(asked)
    }

    deinit { if part.socket != nil { Mishap.tell("a server was dropped before it was closed") } }

    override var owner: any StreamOwner { self }
    var end: StreamEnd { self }
    var servicePort: ServicePort? { service.service }
    /// Whether clients of its site may not use the service any more.
    var isForbidden: Bool { !service.allows(origin) }
    /// Whose client it is.
    var origin: SiteID { stream.name.ingress.site }

    // MARK: What happens

    /// Begins to connect; the answer goes to the carrier under the label of the OPEN, which carried the bytes in `early`.
    func start(_ early: [UInt8]) {
        engine.insert(stream.name, self)
        countWindow()
        // Those that are not kept come again, as other bytes do.
        if engine.mayKeep(early.count, in: flow.receiver.pending.pool) {
            try? stream.keepEarly(early)
        }
        handle(.start)
    }

    private func handle(_ input: EgressStream.Input) {
        for action in stream.handle(input, at: engine.loop.now) { carryOut(action) }
        if input.concernsPath { notePath() }
    }

    private func notePath() {
        engine.note(self, isDetached: stream.isDetached)
        arm()
    }

    private func arm() {
        timer.follow(stream.nextDeadline, on: engine.loop) { [self] _ in
            timer.clear()
            handle(.deadline)
        }
    }

    func tell(_ event: SocketEvent) {
        switch event {
        case .failed: handle(.serverFailed)
        case .finished: handle(.finished)
        case .violated: handle(.violated)
        case .overloaded: handle(.overloaded)
        case .touched:
            holdings.isTouched = true
            service.touched()
        case .limitChanged: arm()
        // The ingress measures.
        case .answered: break
        case .readable: break
        }
    }

    func endOfSocket() -> Bool { stream.endOfSocket(at: engine.loop.now) }

    func receive(_ frame: LifeFrame, on end: StreamEnd) {
        switch frame {
        case .cancel: handle(.cancelled)
        case .reset(let reason): handle(.reset(reason))
        // The egress alone answers.
        case .opened, .refused, .resumed: handle(.violated)
        }
    }

    func violated(_ violation: StreamViolation, on end: StreamEnd) { handle(.violated) }

    func pathLost(_ end: StreamEnd, grace: Duration) {
        graceNanoseconds = grace.wholeNanoseconds
        handle(.pathLost(grace: grace))
    }

    func proxiesEnded(_ proxies: Set<ProxyID>) { handle(.proxiesEnded(proxies)) }

    // The ingress comes back.
    func retry() {}
    func move(isLeaving: Bool) {}

    /// Goes on over the path that a RESUME came on, which was checked; else gives the reason why not.
    func resume(
        _ request: Resume,
        label: UInt32,
        from carrier: StreamCarrier
    ) -> Refused.Reason? {
        let view = engine.view
        switch stream.resume(request, at: view.proxy) {
        case .refused(let reason): return reason
        case .impossible:
            handle(.violated)
            return .unknownStream
        case .resumed(var answer):
            answer.mac = view.keys.seal(.resumed(answer), to: request)
            // What still comes on the path before is late.
            end.leave()
            carrier.accept(end, label: label)
            end.send(.resumed) { answer.encode(into: &$0) }
            notePath()
            follow()
            requestDataIfPossible()
            return nil
        }
    }

    func shutDown() { handle(.shutDown) }

    func abandon() {
        stream.abandon()
        timer.cancel(on: engine.loop)
        end.detach()
        engine.remove(stream.name, self)
        closeSocket(inOrder: false)
    }

    func endIfSilent(for limit: Duration) {
        arm()
        endIfSocketIsSilent(for: limit)
    }

    // MARK: What is done

    private func carryOut(_ action: EgressStream.Action) {
        switch action {
        case .connect(let excluded, let limit): connect(excluding: excluded, within: limit)
        case .stopConnecting:
            errand?.connector?.cancel()
            errand = nil
        case .dropServer: part.close(on: engine.loop)
        case .answer: answer()
        case .refuse(let reason): refuse(reason)
        case .reset(let reason):
            end.send(.reset) { Reset(reason: reason).encode(into: &$0) }
            end.detach()
        case .bury(let verdict):
            let grace = end.carrier?.resumeGrace ?? .nanoseconds(graceNanoseconds)
            engine.bury(stream.name, self, verdict, grace: grace)
        case .serverReleased(let server): service.serverReleased(server)
        case .serverFailed(let server, let fault):
            service.serverFailed(server, fault, at: engine.loop.now)
        case .close(let isInOrder): close(inOrder: isInOrder)
        }
    }

    private func connect(excluding excluded: [Endpoint], within timeout: Duration) {
        let errand = errand ?? Errand()
        self.errand = errand
        errand.connector = LocalConnector(
            service,
            excluding: excluded,
            introducing: introducesClients ? stream.client : nil,
            timeout: timeout,
            on: engine.loop,
            account: charge.account.number,
            connected: { [self] socket, watch, server in connected(socket, watch, to: server) },
            failed: { [self] reason in
                self.errand?.connector = nil
                handle(.notConnected(reason))
            }
        )
    }

    private func connected(
        _ socket: consuming FileDescriptor,
        _ watch: Connector.Watch,
        to server: ServerPick
    ) {
        errand?.connector = nil
        part.adopt(socket, watch, for: self, on: engine.loop)
        handle(.connected(server))
        errand = nil
        follow()
        moveWhatWaits()
    }

    private func answer() {
        guard let open = errand?.open.take() else { return }
        let view = engine.view
        let answer = Opened(
            egress: view.proxy,
            window: UInt32(flow.receiver.window),
            mac: view.keys.seal(.opened(by: view.proxy), to: open),
            isResumable: stream.isResumable,
            tookEarly: stream.tookEarly
        )
        end.send(.opened) { answer.encode(into: &$0) }
    }

    private func refuse(_ reason: Refused.Reason) {
        guard let open = errand?.open.take() else { return }
        let view = engine.view
        let mac = view.keys.seal(.refused(reason, by: view.proxy), to: open)
        let answer = Refused(by: view.proxy, reason: reason, mac: mac)
        end.send(.refused) { answer.encode(into: &$0) }
    }

    private func close(inOrder: Bool) {
        timer.cancel(on: engine.loop)
        end.detach()
        engine.remove(stream.name, self)
        closeSocket(inOrder: inOrder)
        service.left(isTouched: holdings.isTouched)
        charge.end()
        engine.remove(self)
    }
}
