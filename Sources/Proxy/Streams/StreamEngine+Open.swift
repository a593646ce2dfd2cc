import NetworkModel
import Streaming
import Wire

/// What becomes of an OPEN: a server of this site, a further hop, or a refusal.
extension StreamEngine {
    func receive(_ open: Open, label: UInt32, from carrier: StreamCarrier) {
        guard label & StreamLabel.answerBit == 0 else {
            return carrier.conduit.close(LaneClosing(.protocolError, "OPEN with an answer's label"))
        }
        guard let next = position(in: open, from: carrier) else {
            return refuse(open, .noRoute, label: label, carrier)
        }
        if next == open.route.count {
            receiveAsEgress(open, label: label, carrier)
        } else {
            forward(open, to: open.route[next], label: label, carrier)
        }
    }

    /// The index of the next hop (the route's count when this is the egress); nil when the stream has no business here.
    ///
    /// The frame must come from the proxy before this one on the route: nobody else can speak for it. A sidecar is
    /// before its gateway only, and so under its own name only.
    func position(in open: some StreamRequest, from carrier: StreamCarrier) -> Int? {
        let own = open.route.firstIndex(of: view.proxy)
        if carrier.isBridge {
            // Another loop of this proxy: it stands where this proxy stands.
            if let own { return own + 1 }
            return open.name.ingress == view.proxy ? 0 : nil
        }
        guard let own else { return nil }
        let previous = own == 0 ? open.name.ingress : open.route[own - 1]
        guard previous == carrier.neighbor, !carrier.isSidecar || own == 0 else { return nil }
        return own + 1
    }

    // MARK: Egress

    private func receiveAsEgress(_ open: Open, label: UInt32, _ carrier: StreamCarrier) {
        if let reason = objection(to: open, from: carrier) {
            return refuse(open, reason, label: label, carrier)
        }
        guard let entry = view.services[open.service] else {
            return refuse(open, .noService, label: label, carrier)
        }
        guard entry.shared.allows(open.name.ingress.site) else {
            return refuse(open, .notAllowed, label: label, carrier)
        }
        guard takesStreams, mayHold(StreamReceiver.standardWindow, in: pool),
            DescriptorBudget.hasRoomForClient,
            let charge = StreamCharge(carrier.account, hasDescriptor: true)
        else { return refuse(open, .overloaded, label: label, carrier) }
        guard entry.shared.admit(DescriptorBudget.room) else {
            charge.end()
            return refuse(open, .overloaded, label: label, carrier)
        }
        // Last: who opens nothing here leaves nothing behind.
        guard isNew(open) else {
            entry.shared.left(isTouched: false)
            charge.end()
            return refuse(open, .replay, label: label, carrier)
        }
        let stream = EgressConnection(open, over: carrier, entry, charge: charge, engine: self)
        add(stream)
        carrier.accept(stream.end, label: label)
        stream.isWholePath = open.route.count == 1
        stream.start(open.early)
    }

    /// Ends the streams of clients that may not use their service any more.
    func endForbiddenStreams() { end { $0.isForbidden } }

    /// Ends the streams of these sites' clients, over whatever lanes they came.
    func endStreams(of sites: Set<SiteID>) { end { sites.contains($0.origin) } }

    private func end(_ isMeant: (EgressConnection) -> Bool) {
        let ending = owners.compactMap { $0 as? EgressConnection }.filter(isMeant)
        for (index, stream) in ending.enumerated() {
            stream.shutDown()
            if index % 256 == 255 { loop.breathe() }
        }
    }

    private func objection(to open: Open, from carrier: StreamCarrier) -> Refused.Reason? {
        if let objection = unvouched(open, from: carrier) { return objection }
        guard open.target == view.proxy.site else { return .wrongSite }
        return view.isDraining ? .draining : nil
    }

    /// Why nobody who may has vouched for the request.
    func unvouched(
        _ request: some StreamRequest,
        from carrier: StreamCarrier
    ) -> Refused.Reason? {
        // Only an attached sidecar, known by its lane, needs no signature.
        guard let signature = request.signature else {
            return carrier.isSidecar ? nil : .unauthenticated
        }
        guard !carrier.isSidecar else { return .unauthenticated }
        return view.keys.objection(to: request, signature: signature)
    }

    /// False when the stream was opened here before; a sidecar's own lane vouches for its streams.
    private func isNew(_ open: Open) -> Bool {
        guard let signature = open.signature else { return true }
        return plane.accept(
            open.name.number,
            of: open.name.ingress,
            signer: signature.signer,
            keys: view.keys
        )
    }

    // MARK: Transit

    private func forward(
        _ open: Open,
        to hop: ProxyID,
        label: UInt32,
        _ carrier: StreamCarrier
    ) {
        var open = open
        if let reason = vouch(for: &open, from: carrier) {
            return refuse(open, reason, label: label, carrier)
        }
        // A bridge was taken because this loop has a lane; when that is gone, the ingress tries again.
        guard takesStreams, mayHold(StreamReceiver.standardWindow, in: pool),
            let onward = self.carrier(to: hop, mayBridge: !carrier.isBridge)
        else { return refuse(open, .noRoute, label: label, carrier) }
        guard let charge = StreamCharge(carrier.account, hasDescriptor: false) else {
            return refuse(open, .overloaded, label: label, carrier)
        }
        open.isResumable = open.isResumable && onward.knowsResume
        // They come as other bytes do then, once the stream is open.
        if !onward.knowsEarly { open.early = [] }
        let stream = TransitConnection(
            open,
            isSigner: carrier.isSidecar,
            charge: charge,
            engine: self
        )
        pass(open, on: onward, stream, charge, label: label, carrier)
    }

    /// The gateway of a sidecar vouches for its streams; gives why it cannot, or why nobody needs it to.
    func vouch(
        for request: inout some StreamRequest,
        from carrier: StreamCarrier
    ) -> Refused.Reason? {
        guard carrier.isSidecar == (request.signature == nil) || isOwnBridge(request, carrier)
        else { return .unauthenticated }
        guard carrier.isSidecar else { return nil }
        guard let signature = view.keys.seal(request, signer: view.proxy) else {
            return .unknownOrigin
        }
        request.signature = signature
        return nil
    }

    /// Passes a request on to the next hop, under a label of this side's choice.
    func pass(
        _ request: some StreamRequest,
        on onward: StreamCarrier,
        _ stream: TransitConnection,
        _ charge: StreamCharge,
        label: UInt32,
        _ carrier: StreamCarrier
    ) {
        guard onward.open(stream.outer) else {
            charge.end()
            return refuse(request, .overloaded, label: label, carrier)
        }
        carrier.accept(stream.inner, label: label)
        add(stream)
        stream.start()
        stream.outer.send(type(of: request).type) { request.encode(into: &$0) }
    }

    /// A sidecar's own stream, unsigned, on its way between the sidecar's loops.
    private func isOwnBridge(_ open: some StreamRequest, _ carrier: StreamCarrier) -> Bool {
        carrier.isBridge && view.isSidecar && open.name.ingress == view.proxy
    }

    func refuse(
        _ request: some StreamRequest,
        _ reason: Refused.Reason,
        label: UInt32,
        _ carrier: StreamCarrier
    ) {
        // Only the egress's own word carries a MAC; without a key it is a hop's word.
        let isEgress = request.route.last == view.proxy
        let mac =
            isEgress ? view.keys.seal(.refused(reason, by: view.proxy), to: request) : nil
        let answer = Refused(by: view.proxy, reason: reason, mac: mac)
        carrier.conduit.send(.refused, label: label | StreamLabel.answerBit) {
            answer.encode(into: &$0)
        }
    }
}
