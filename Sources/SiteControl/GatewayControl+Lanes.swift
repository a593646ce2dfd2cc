import NetworkModel
import ProxyContract
import Routing
import Wire

// What the loops tell about lanes: candidates, arrivals, frames, ends.

extension GatewayControl {
    private var admission: Admission {
        Admission(
            own: own,
            neighbors: neighborhood.table,
            allow: configuration?.allow ?? [],
            isDraining: isDraining
        )
    }

    /// An accepted lane has said HELLO: let it in, and where, or say why not.
    mutating func admit(_ candidate: LaneCandidate, _ turn: inout Turn) {
        let objection =
            admission.objection(to: candidate)
            ?? neighborhood.objectionOfShare(candidate, &turn)
        guard var objection else { return neighborhood.admit(candidate, &turn) }
        if objection.reason == .notAllowed, let claim = candidate.claim {
            let site = SiteName(id: candidate.site, name: candidate.hello.name)
            let grants = configuration?.grants ?? []
            let answer = joins.take(claim, of: site, among: grants, wall: turn.wall)
            objection = LaneClosing(.notAllowed, answer)
        }
        if candidate.purpose == .link { noteRefusal(candidate, objection, &turn) }
        turn.outputs.append(.refuse(candidate.id, on: candidate.loop, objection))
    }

    private mutating func noteRefusal(
        _ candidate: LaneCandidate,
        _ closing: LaneClosing,
        _ turn: inout Turn
    ) {
        guard let reason = Admission.statusReason(closing) else { return }
        let site = SiteName(id: candidate.site, name: candidate.hello.name)
        let isNew = refusals.add(
            site,
            reason,
            from: candidate.remote.address,
            time: turn.wall
        )
        if isNew, let left = refusals.mayLog(reason, at: turn.now) {
            let others = left > 0 ? " (and \(left) other sites lately)" : ""
            turn.log("refused a link of site \(site.id): \(closing.explanation)\(others)")
        }
        pace.changed(at: turn.now)
    }

    // MARK: Arrivals

    mutating func welcomed(_ id: LaneID, _ turn: inout Turn) {
        guard let (candidate, loop) = neighborhood.welcomed(id) else { return }
        let kind = admission.kind(of: candidate)
        let edge: EdgeName? =
            switch kind {
            case .remote:
                candidate.hello.link.map { .link(dialer: candidate.site, name: $0) }
            case .sibling: .mesh
            case .sidecar, .home: nil
            }
        let isBulk = candidate.beside != nil
        add(candidate, kind, loop: loop, edge: edge, isDialed: false, isBulk: isBulk, &turn)
        // It may have been disallowed while it was on its way.
        if candidate.purpose == .link, let closing = admission.objectionToLink(candidate) {
            neighborhood.close(id, closing, &turn)
        }
    }

    mutating func dialed(_ candidate: LaneCandidate, _ turn: inout Turn) {
        switch neighborhood.desk.owner(of: candidate.id) {
        case nil: return
        case .link(let name): linkUp(name, candidate, &turn)
        case .inside(let address):
            let loop = candidate.loop
            add(candidate, .sibling, loop: loop, edge: .mesh, isDialed: true, isBulk: false, &turn)
            // The larger ProxyID keeps the one lane that it got; the rest is the smaller one's to dial.
            neighborhood.insideLaneUp(
                candidate,
                at: address,
                dialsAll: own < candidate.hello.proxy,
                &turn
            )
        }
        pace.changed(at: turn.now)
    }

    private mutating func linkUp(
        _ name: LinkName,
        _ candidate: LaneCandidate,
        _ turn: inout Turn
    ) {
        guard let link = links[name] else {
            let closing = LaneClosing(.configurationChanged)
            turn.outputs.append(.close(candidate.id, on: candidate.loop, closing))
            return
        }
        let (kind, isBulk) = (admission.kind(of: candidate), link.isBulk(candidate.id))
        guard !isBulk || welcomesBulk(name, candidate, &turn) else { return }
        let edge = EdgeName.link(dialer: own.site, name: name)
        let loop = candidate.loop
        add(candidate, kind, loop: loop, edge: edge, isDialed: true, isBulk: isBulk, &turn)
        guard !isBulk else { return }
        let wanted = neighborhood.desk.wantedLanes(candidate.hello)
        var isWelcome = true
        withLink(name, &turn) { link, _, turn in
            isWelcome = link.laneUp(candidate.id, candidate.hello, wanted: wanted, &turn)
        }
        if !isWelcome {
            neighborhood.close(candidate.id, LaneClosing(.configurationChanged), &turn)
        }
        drains.lanesChanged(neighborhood.table, &turn)
    }

    /// Another proxy may have answered than the one that the lane was dialed for.
    private mutating func welcomesBulk(
        _ name: LinkName,
        _ candidate: LaneCandidate,
        _ turn: inout Turn
    ) -> Bool {
        var isWelcome = false
        withLink(name, &turn) { link, _, _ in
            isWelcome = link.bulkLaneUp(candidate.id, candidate.hello)
        }
        guard !isWelcome else { return true }
        turn.outputs.append(.close(candidate.id, on: candidate.loop, LaneClosing(.superfluous)))
        return false
    }

    private mutating func add(
        _ candidate: LaneCandidate,
        _ kind: AdjacencyTable.Kind,
        loop: Int,
        edge: EdgeName?,
        isDialed: Bool,
        isBulk: Bool,
        _ turn: inout Turn
    ) {
        let neighbor = candidate.hello.proxy
        let isNew = neighborhood.add(
            candidate,
            loop: loop,
            edge: edge,
            isDialed: isDialed,
            isBulk: isBulk,
            kind: kind,
            &turn
        )
        if isNew { up(neighbor, kind, &turn) }
        edgesChanged(neighbor, &turn)
        if isDraining { send(.goAway, [], to: neighbor, &turn) }
    }

    private mutating func up(
        _ neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind,
        _ turn: inout Turn
    ) {
        switch kind {
        case .remote, .home: break
        case .sibling: counts.neighborUp(neighbor, at: turn.now)
        case .sidecar:
            counts.neighborUp(neighbor, at: turn.now)
            sidecars.attached(
                neighbor,
                tellsWants: neighborhood.table[neighbor]?.tellsWants ?? false,
                services: services.known,
                at: turn.now
            )
            updateInterest(&turn)
        }
    }

    // MARK: Ends

    mutating func ended(
        _ id: LaneID,
        _ end: LaneEnd,
        wasUp: Bool,
        _ figures: LaneFigures,
        _ turn: inout Turn
    ) {
        if drains.ended(id) { configureRouting(&turn) }
        let (link, removal) = neighborhood.ended(id, end, wasUp: wasUp, &turn)
        if let link {
            withLink(link, &turn) { link, desk, turn in
                link.laneEnded(id, end, wasUp: wasUp, figures, &desk, &turn)
            }
        }
        guard let removal else { return }
        if removal.isLast {
            down(removal.neighbor, removal.kind, &turn)
        } else if removal.wasFirst {
            disturbed(removal.neighbor, removal.kind, at: turn.now)
        }
        edgesChanged(removal.neighbor, &turn)
        pace.changed(at: turn.now)
    }

    private mutating func down(
        _ neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind,
        _ turn: inout Turn
    ) {
        switch kind {
        case .remote, .home: break
        case .sibling:
            let changed = counts.neighborDown(neighbor, at: turn.now)
            setOthers(changed, &turn)
            neighborhood.siblingLost(&turn)
        case .sidecar:
            sidecars.detached(neighbor)
            updateInterest(&turn)
            let changed = counts.neighborDown(neighbor, at: turn.now)
            setOthers(changed, &turn)
        }
    }

    /// Control frames may have been lost with the lane that carried them.
    private mutating func disturbed(
        _ neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind,
        at now: Instant
    ) {
        switch kind {
        case .remote, .home: break
        case .sibling: counts.disturbed(neighbor, at: now)
        case .sidecar:
            counts.disturbed(neighbor, at: now)
            sidecars.disturbed(neighbor, at: now)
        }
    }

    /// Tells routing which edges lead to a gateway now.
    private mutating func edgesChanged(_ neighbor: ProxyID, _ turn: inout Turn) {
        let adjacency = neighborhood.table[neighbor]
        guard adjacency == nil || adjacency?.kind == .remote || adjacency?.kind == .sibling
        else { return }
        feed(.adjacency(neighbor: neighbor, edges: adjacency?.edges ?? []), &turn)
    }

    /// Lanes whose time is over, or that others have taken the place of.
    mutating func lookAtLanes(_ turn: inout Turn) {
        guard let deadline = drains.nextDeadline, deadline <= turn.now else { return }
        turn.outputs.append(.measure)
    }

    /// The figures of all lanes came.
    mutating func measured(
        _ figures: [LaneID: LaneFigures],
        _ shortages: [HostShortage],
        _ turn: inout Turn
    ) {
        neighborhood.measured(figures)
        measureCosts(&turn)
        turn.tell(shortages, since: self.shortages)
        self.shortages = shortages
        drains.lanesChanged(neighborhood.table, &turn)
        let table = neighborhood.table
        for id in drains.due(active: { table.figures(of: $0)?.active ?? 0 }, at: turn.now) {
            neighborhood.close(id, LaneClosing(.configurationChanged), &turn)
        }
        pace.measured(at: turn.now)
    }

    // MARK: Frames

    /// A control frame of an adjacency; one that its kind of neighbor may not send ends the lane.
    mutating func received(
        _ type: FrameType,
        _ bytes: [UInt8],
        from neighbor: ProxyID,
        on id: LaneID,
        _ turn: inout Turn
    ) {
        guard let kind = neighborhood.table[neighbor]?.kind else { return }
        do {
            switch (type, kind) {
            case (.goAway, _): goAway(neighbor, &turn)
            case (.bulkLane, _): dialBulkLane(beside: id, &turn)
            case (.renew, .remote): replaceLanes(to: neighbor, &turn)
            case (.lsa, .remote), (.lsa, .sibling), (.lsaAcknowledgment, .remote),
                (.lsaAcknowledgment, .sibling), (.lsaSummary, .remote), (.lsaSummary, .sibling),
                (.lsaSummaryAcknowledgment, .remote), (.lsaSummaryAcknowledgment, .sibling):
                try receivedRouting(type, bytes, from: neighbor, &turn)
            case (.counts, .sibling), (.counts, .sidecar):
                receivedCounts(try bytes.decode(Counts.decode), from: neighbor, kind, &turn)
            case (_, .sidecar):
                guard try receivedOfSidecar(type, bytes, from: neighbor, &turn) else {
                    fallthrough
                }
            default:
                let closing = LaneClosing(.protocolError, "\(type) from a \(kind) neighbor")
                neighborhood.close(id, closing, &turn)
            }
        } catch {
            let closing = LaneClosing(.protocolError, "\(type): \(error)")
            neighborhood.close(id, closing, &turn)
        }
    }

    private mutating func receivedCounts(
        _ frame: Counts,
        from neighbor: ProxyID,
        _ kind: AdjacencyTable.Kind,
        _ turn: inout Turn
    ) {
        let known = services.known
        let changed = counts.received(
            frame,
            from: neighbor,
            kind,
            isKnown: known.contains,
            &turn
        )
        setOthers(changed, &turn)
    }

    /// False for a frame that a sidecar may not send.
    private mutating func receivedOfSidecar(
        _ type: FrameType,
        _ bytes: [UInt8],
        from neighbor: ProxyID,
        _ turn: inout Turn
    ) throws(WireError) -> Bool {
        switch type {
        case .tableAcknowledgment:
            sidecars.acknowledged(
                try bytes.decode(SidecarTableAcknowledgment.decode),
                by: neighbor,
                over: neighborhood.table,
                &turn
            )
        case .wants:
            let wants = try bytes.decode(SidecarWants.decode)
            if sidecars.wanted(wants, by: neighbor, at: turn.now) { updateInterest(&turn) }
        case .report:
            let now = turn.now
            let report = try bytes.withRawSpan { span throws(WireError) in
                try SidecarReport.decode(span, at: now)
            }
            let known = services.known
            sidecars.reported(report, by: neighbor, isKnown: known.contains)
        default: return false
        }
        pace.changed(at: turn.now)
        return true
    }

    /// The neighbor has new credentials, and asks for lanes that show them: those that were dialed to it give way to others.
    ///
    /// It asks on each of them, and all are replaced at once; it does not make this proxy dial again and again.
    private mutating func replaceLanes(to neighbor: ProxyID, _ turn: inout Turn) {
        if let last = renewals[neighbor], turn.now - last < Self.renewalInterval { return }
        renewals = renewals.filter { turn.now - $0.value < Self.renewalInterval }
        let lanes = Set((neighborhood.table[neighbor]?.lanes ?? []).filter(\.isDialed).map(\.id))
        guard !isDraining, !lanes.isEmpty else { return }
        renewals[neighbor] = turn.now
        for name in links.keys.sorted() { replaceLanes(of: name, lanes, &turn) }
    }

    private static let renewalInterval: Duration = .seconds(60)

    /// Streams that cross this lane want one for bulk beside it: dialed here, or by the neighbor, who is asked.
    mutating func bulkLaneWanted(beside id: LaneID, _ turn: inout Turn) {
        guard let lane = neighborhood.table.lane(id), !lane.isDialed else {
            return dialBulkLane(beside: id, &turn)
        }
        guard let adjacency = neighborhood.table.owner(of: id).flatMap({ neighborhood.table[$0] }),
            adjacency.kind == .remote, adjacency.knowsBulk, !lane.isBulk
        else { return }
        turn.outputs.append(.send(.bulkLane, [], on: id, loop: lane.loop))
    }

    private mutating func dialBulkLane(beside id: LaneID, _ turn: inout Turn) {
        guard !isDraining, let lane = neighborhood.table.lane(id), lane.isDialed,
            let neighbor = neighborhood.table.owner(of: id),
            neighborhood.table[neighbor]?.isDraining == false,
            let number = lane.numberThere, case .link(let name) = neighborhood.desk.owner(of: id)
        else { return }
        withLink(name, &turn) { link, desk, turn in
            link.dialBulk(to: neighbor, beside: lane, number, &desk, &turn)
        }
    }

    /// The neighbor drains: other lanes are dialed while its own still carry streams.
    private mutating func goAway(_ neighbor: ProxyID, _ turn: inout Turn) {
        guard let adjacency = neighborhood.table[neighbor], !adjacency.isDraining else { return }
        neighborhood.setDraining(neighbor)
        let lanes = Set(adjacency.lanes.filter(\.isDialed).map(\.id))
        for name in links.keys.sorted() where !lanes.isDisjoint(with: links[name]?.lanes ?? []) {
            withLink(name, &turn) { link, desk, turn in link.replace(lanes, &desk, &turn) }
        }
    }
}

extension [UInt8] {
    func decode<Value>(
        _ decoder: (RawSpan) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        try withRawSpan(decoder)
    }
}
