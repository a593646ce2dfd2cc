import Balancing
import NetworkModel
import Streaming
import Wire

/// The attempt to open a stream to a server elsewhere.
extension IngressConnection {
    /// Sends OPEN on the next way to the target that was not tried.
    func seek(_ pick: Pick, _ tried: Tried) {
        guard let ways = service.ways(to: pick.site) else { return handle(.noWay) }
        let (excluded, now) = (tried.excluded(of: ways), engine.loop.now)
        let next = engine.plane.withRoutes {
            $0.pick(ways, turn: pick.turn, excluding: excluded, at: now)
        }
        guard let way = next else { return handle(.noWay) }
        guard let hop = way.route.first,
            let carrier = engine.carrier(to: hop, mayBridge: true)
        else { return handle(.unreachable(way)) }
        let isAll = way.route.count == 1
        stream.flow.begin(window: engine.initialWindow(over: carrier, isAll: isAll))
        guard let open = open(pick, way, carrier), part.watch(for: self, on: engine.loop),
            carrier.open(end)
        else { return handle(.unreachable(way)) }
        isWholePath = isAll
        asks(open)
        var request = open
        let patience = way.patience(roundTrip: carrier.conduit.roundTrip)
        // Where another way may be asked soon the bytes are kept for it.
        if isEarly, carrier.knowsEarly, patience == nil {
            request.early = stream.flow.takeEarly()
        }
        countWindow()
        stream.flow.draw(on: engine.pool(of: carrier.account))
        end.send(.open) { request.encode(into: &$0) }
        handle(.asked(way, patience: patience))
    }

    /// Nil while the egress's key is not known.
    private func open(_ pick: Pick, _ way: WayPick, _ carrier: StreamCarrier) -> Open? {
        let view = engine.view
        var open = Open(
            name: StreamName(ingress: view.proxy, number: engine.plane.nextNumber()),
            service: service.service,
            route: way.route,
            target: pick.site,
            client: client,
            window: UInt32(stream.flow.receiver.window),
            isResumable: carrier.knowsResume
        )
        guard !view.isSidecar else { return open }
        guard let signature = view.keys.seal(open, signer: view.proxy) else { return nil }
        open.signature = signature
        return open
    }

    // MARK: Whose word an answer is

    func isGenuine(_ opened: Opened) -> Bool {
        guard let request = openAsked else { return false }
        guard !engine.view.isSidecar else { return true }
        return isGenuine(.opened(by: opened.egress), to: request, opened.mac)
    }

    func isGenuine(_ refused: Refused) -> Bool {
        guard let request = openAsked else { return false }
        return isGenuine(refused, to: request)
    }

    func isGenuine(_ refused: Refused, to request: some StreamRequest) -> Bool {
        guard !engine.view.isSidecar else { return refused.by == request.route.last }
        return isGenuine(.refused(refused.reason, by: refused.by), to: request, refused.mac)
    }

    func isGenuine(_ answer: StreamAnswer, to request: some StreamRequest, _ mac: [UInt8]) -> Bool {
        let view = engine.view
        return view.keys.isGenuine(answer, to: request, signer: view.proxy, mac: mac)
    }
}
