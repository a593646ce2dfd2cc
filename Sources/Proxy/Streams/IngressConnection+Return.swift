import Balancing
import NetworkModel
import Streaming
import Wire

/// The way back to the egress of a stream, over another path.
extension IngressConnection {
    /// Sends RESUME on the next way to the egress that was not tried.
    func seekBack(_ joined: Joined, _ tried: Tried) {
        guard let ways = service.ways(to: joined.pick.site).map(joined.back) else {
            return handle(.noWay)
        }
        let (excluded, now) = (tried.excluded(of: ways), engine.loop.now)
        let next = engine.plane.withRoutes {
            $0.pick(ways, turn: joined.pick.turn, excluding: excluded, at: now)
        }
        guard let way = next else { return handle(.noWay) }
        let attempt = LooseEnd(of: self)
        guard let hop = way.route.first,
            let carrier = carrier(to: hop, joined),
            carrier.knowsResume,
            carrier !== end.carrier || !carrier.isRetired, let resume = resume(joined, way),
            carrier.open(attempt)
        else { return handle(.unreachable(way)) }
        asks(resume, by: attempt)
        attempt.send(.resume) { resume.encode(into: &$0) }
        let patience = way.patience(roundTrip: carrier.conduit.roundTrip)
        handle(.askedBack(way, hadFin: resume.standing.hasFin, patience: patience))
    }

    /// A bulk stream that has a lane to itself stays there when only hops beyond are to move it: a new lane would have to find out
    /// first how much the way takes.
    private func carrier(to hop: ProxyID, _ joined: Joined) -> StreamCarrier? {
        let isBulk = joined.bulk != nil
        if isBulk, let own = end.carrier, own.neighbor == hop, own.activeStreams == 1,
            !own.isRetired, !own.isBridge
        {
            return own
        }
        return engine.carrier(to: hop, mayBridge: true, isBulk: isBulk)
    }

    /// Nil while the egress's key is not known, or the stream has no name any more.
    private func resume(_ joined: Joined, _ way: WayPick) -> Resume? {
        guard let name else { return nil }
        let view = engine.view
        var resume = Resume(
            name: name,
            epoch: joined.epoch,
            route: way.route,
            standing: stream.flow.receiver.standing,
            isBulk: joined.bulk != nil
        )
        guard !view.isSidecar else { return resume }
        guard let signature = view.keys.seal(resume, signer: view.proxy) else { return nil }
        resume.signature = signature
        return resume
    }

    /// The path of the RESUME is the stream's from now on.
    func takeOver() {
        guard let attempt else { return }
        end.leave()
        takePlace(of: attempt)
        asksNothing()
        if let carrier = end.carrier { stream.flow.draw(on: engine.pool(of: carrier.account)) }
        requestDataIfPossible()
        // Retired while the answer was under way, when nothing else moves the stream.
        if end.carrier?.isRetired == true {
            engine.loop.schedule(after: .zero) { [self] _ in move(isLeaving: true) }
        }
    }

    /// Nobody waits for an answer to the RESUME.
    func forgetAttempt() {
        guard let attempt else { return }
        asksNothing()
        attempt.leave()
    }

    // MARK: Bulk

    func provedBulky(at end: StreamEnd) {
        guard end === self.end, let joined = stream.state.joined,
            engine.hasBetterLaneForBulk(than: end) || joined.mayAskHops(at: engine.loop.now)
        else { return }
        // Not from within the carrier's turn.
        engine.loop.schedule(after: .zero) { [self] _ in handle(.spread(isBulk: true)) }
    }

    func restedFromBulk(at end: StreamEnd) {
        if end === self.end { handle(.spread(isBulk: false)) }
    }

    // MARK: Whose word an answer is

    func isGenuine(_ resumed: Resumed) -> Bool {
        guard let request = resumeAsked else { return false }
        guard !engine.view.isSidecar else { return resumed.egress == request.route.last }
        return isGenuine(.resumed(resumed), to: request, resumed.mac)
    }

    func isGenuineBack(_ refused: Refused) -> Bool {
        guard let request = resumeAsked else { return false }
        return isGenuine(refused, to: request)
    }
}
