import NetworkModel
import Routing
import SiteConfiguration
import SiteControl
import TLS
import Wire

// What the agents tell about lanes: candidates, arrivals, frames, ends.

extension ControlPlane {
    /// An accepted lane has said HELLO: let it in, and where, or say why not.
    func admit(_ candidate: LaneCandidate) {
        let id = candidate.id
        let verdict: LaneAdmission
        if let closing = objection(to: candidate) ?? objectionOfAccount(candidate) {
            verdict = .refused(closing)
            if candidate.purpose == .link { noteRefusal(candidate, closing) }
        } else {
            let index = placement(of: candidate)
            admitted[id] = (candidate, index)
            verdict = .admitted(loop: index, hello(for: nil))
        }
        core.tellAgent(candidate.loop) { $0.decide(id, verdict) }
    }

    private func objection(to candidate: LaneCandidate) -> LaneClosing? {
        guard !isDraining else { return LaneClosing(.shutdown, "this proxy drains") }
        let neighbor = candidate.hello.proxy
        guard neighbor != core.id else { return LaneClosing(.toSelf, LinkFailure.toSelf) }
        if let existing = adjacencies[neighbor], existing.kind != kind(of: candidate) {
            return LaneClosing(
                .helloContradictsCertificate,
                "\(neighbor) is known as another kind of neighbor"
            )
        }
        guard adjacencies[neighbor] != nil || !adjacencies.isFull else {
            return LaneClosing(
                .overloaded,
                "this gateway has \(AdjacencyTable.neighborLimit) neighbors, which is the most; run more gateways"
            )
        }
        guard hasRoom(for: candidate) else {
            return LaneClosing(
                .overloaded,
                "this gateway has as many lanes with \(neighbor) as it takes; at most \(Self.linksPerNeighbor) Links "
                    + "between two sites come up: put their endpoints into fewer Links"
            )
        }
        switch candidate.purpose {
        case .link: return objectionToLink(candidate)
        case .inside: return objectionInside(candidate)
        }
    }

    private static let lanesPerNeighbor = 8
    private static let linksPerNeighbor = 8

    /// A Link's first lane has room beyond what many lanes of others took.
    private func hasRoom(for candidate: LaneCandidate) -> Bool {
        let lanes = adjacencies[candidate.hello.proxy]?.lanes ?? []
        guard lanes.count >= 2 * Self.lanesPerNeighbor else { return true }
        guard lanes.count < 2 * Self.lanesPerNeighbor + Self.linksPerNeighbor,
            let link = candidate.hello.link
        else { return false }
        let edge = EdgeName.link(dialer: candidate.identity.site, name: link)
        return !lanes.contains { $0.edge == edge }
    }

    /// The last question: the answer draws the lane from its site's account.
    private func objectionOfAccount(_ candidate: LaneCandidate) -> LaneClosing? {
        let neighbor = candidate.hello.proxy
        let account = core.accounts.account(of: neighbor.site)
        guard adjacencies[neighbor] != nil || account.hasRoom(.instances) else {
            account.deny(.instances)
            return LaneClosing(.overloaded, "too many proxies of site \(neighbor.site)")
        }
        guard DescriptorBudget.laneCount < DescriptorShares.ofProcess.lanes, account.take(.lanes)
        else { return LaneClosing(.overloaded, "too many lanes of site \(neighbor.site)") }
        laneAccounts[candidate.id] = account
        return nil
    }

    private func objectionToLink(_ candidate: LaneCandidate) -> LaneClosing? {
        let site = candidate.identity.site
        guard candidate.identity.role == .gateway else {
            return LaneClosing(.wrongRole, "a sidecar's certificate cannot be used on a Link")
        }
        guard site != core.id.site else {
            return LaneClosing(.duplicateIdentity, "both sites have the identity \(site)")
        }
        guard candidate.hello.link != nil else {
            return LaneClosing(.protocolError, "HELLO names no Link")
        }
        guard document?.configuration.allow.contains(where: { $0.id == site }) == true else {
            let name = SiteName(id: site, name: candidate.hello.name)
            return LaneClosing(.notAllowed, LinkFailure.notAllowed(name, remote: core.id.site))
        }
        return nil
    }

    private func objectionInside(_ candidate: LaneCandidate) -> LaneClosing? {
        let neighbor = candidate.hello.proxy
        guard neighbor.site == core.id.site else {
            return LaneClosing(.wrongRole, "the internal port is for proxies of this site")
        }
        if candidate.identity.role == .gateway, core.id < neighbor,
            adjacencies.dialedLanes(to: neighbor) > 0
        {
            return LaneClosing(.superfluous, "lanes to \(neighbor) exist")
        }
        return nil
    }

    private func kind(of candidate: LaneCandidate) -> AdjacencyTable.Kind {
        if core.isSidecar { return .home }
        if candidate.identity.role == .sidecar { return .sidecar }
        return candidate.identity.site == core.id.site ? .sibling : .remote
    }

    /// The loop with the fewest lanes of this neighbor, those on their way included.
    private func placement(of candidate: LaneCandidate) -> Int {
        var counts = [Int](repeating: 0, count: core.loops)
        let neighbor = candidate.hello.proxy
        for lane in adjacencies[neighbor]?.lanes ?? [] { counts[lane.loop] += 1 }
        for other in admitted.values where other.candidate.hello.proxy == neighbor {
            counts[other.loop] += 1
        }
        let fewest = counts.min() ?? 0
        if counts[candidate.loop] == fewest { return candidate.loop }
        return counts.firstIndex(of: fewest) ?? candidate.loop
    }

    private func noteRefusal(_ candidate: LaneCandidate, _ closing: LaneClosing) {
        let reason: LinkSnapshot.Reason
        switch closing.reason {
        case .notAllowed: reason = .notAllowed
        case .duplicateIdentity: reason = .duplicateIdentity
        case .toSelf: reason = .toSelf
        case .wrongRole, .helloContradictsCertificate: reason = .certificateInvalid
        default: return
        }
        let site = SiteName(id: candidate.identity.site, name: candidate.hello.name)
        let isNew = refusals.add(
            site,
            reason,
            from: candidate.remote.address,
            time: WallClock.now
        )
        if isNew, let left = refusals.mayLog(reason, at: loop.now) {
            let others = left > 0 ? " (and \(left) other sites lately)" : ""
            log("refused a link of site \(site.id): \(closing.explanation)\(others)")
        }
        snapshotChanged()
    }

    // MARK: Arrivals

    /// An admitted lane is in place on its loop and open for streams.
    func welcomed(_ id: LaneID, gauge: LaneGauge) {
        guard let (candidate, index) = admitted.removeValue(forKey: id) else { return }
        let link = candidate.hello.link
        let edge: EdgeName? =
            switch kind(of: candidate) {
            case .remote: link.map { .link(dialer: candidate.identity.site, name: $0) }
            case .sibling: .mesh
            case .sidecar, .home: nil
            }
        add(candidate, loop: index, edge: edge, isDialed: false, gauge: gauge)
        // It may have been disallowed while it was on its way.
        if candidate.purpose == .link, let closing = objectionToLink(candidate) {
            closeLane(id, closing)
        }
    }

    /// A lane that this proxy dialed has exchanged HELLOs and is open for streams.
    func dialed(_ candidate: LaneCandidate) {
        guard let owner = dials[candidate.id] else { return }
        switch owner {
        case .link(let name):
            guard let dialer = links[name] else {
                core.tellAgent(candidate.loop) {
                    $0.close(candidate.id, LaneClosing(.configurationChanged))
                }
                return
            }
            let edge = EdgeName.link(dialer: core.id.site, name: name)
            add(
                candidate,
                loop: candidate.loop,
                edge: edge,
                isDialed: true,
                gauge: candidate.gauge
            )
            dialer.laneUp(candidate.id, candidate.hello)
            drains.lanesChanged()
        case .inside(let address):
            add(
                candidate,
                loop: candidate.loop,
                edge: core.isSidecar ? nil : .mesh,
                isDialed: true,
                gauge: candidate.gauge
            )
            inside?.laneUp(candidate.id, candidate.hello, at: address)
        }
        snapshotChanged()
    }

    private func add(
        _ candidate: LaneCandidate,
        loop: Int,
        edge: EdgeName?,
        isDialed: Bool,
        gauge: LaneGauge
    ) {
        let entry = AdjacencyTable.LaneEntry(
            id: candidate.id,
            loop: loop,
            edge: edge,
            isDialed: isDialed,
            gauge: gauge
        )
        let neighbor = candidate.hello.proxy
        let kind = kind(of: candidate)
        let account = core.accounts.account(of: neighbor.site)
        if laneAccounts[candidate.id] == nil {
            // Dialed: this side asked for it.
            account.add(.lanes)
            laneAccounts[candidate.id] = account
        }
        if adjacencies.add(entry, candidate.hello, kind: kind) {
            account.add(.instances)
            adjacencyUp(neighbor, kind)
        }
        edgesChanged(neighbor)
        if isDraining { send(.goAway, [], to: neighbor) }
    }

    // MARK: Ends

    func laneEnded(_ id: LaneID, _ reason: LaneEnd, wasUp: Bool) {
        admitted[id] = nil
        drains.ended(id)
        laneAccounts.removeValue(forKey: id)?.give(.lanes)
        let removal = adjacencies.remove(id)
        switch dials.removeValue(forKey: id) {
        case .link(let name):
            links[name]?.laneEnded(id, reason, wasUp: wasUp, gauge: removal?.lane.gauge)
        case .inside(let address):
            inside?.laneEnded(id, reason, wasUp: wasUp, at: address)
        case nil: break
        }
        guard let removal else { return }
        note("a lane to \(removal.neighbor) ended: \(reason.explanation)")
        if removal.isLast {
            core.accounts.account(of: removal.neighbor.site).give(.instances)
            adjacencyDown(removal.neighbor, removal.kind)
        } else if removal.wasFirst {
            disturbed(removal.neighbor, removal.kind)
        }
        edgesChanged(removal.neighbor)
        snapshotChanged()
    }

    /// Control frames may have been lost with the lane that carried them.
    private func disturbed(_ neighbor: ProxyID, _ kind: AdjacencyTable.Kind) {
        switch kind {
        case .remote: break
        case .sibling: counts.disturbed(neighbor)
        case .sidecar:
            counts.disturbed(neighbor)
            sidecars.disturbed(neighbor)
        case .home:
            counts.disturbed(neighbor)
            sidecar?.disturbed(neighbor)
        }
    }

    // MARK: Frames

    /// A control frame of an adjacency; one that its kind of neighbor may not send ends the lane.
    func received(_ type: FrameType, _ bytes: [UInt8], from neighbor: ProxyID, on id: LaneID) {
        guard let kind = adjacencies[neighbor]?.kind else { return }
        do {
            switch (type, kind) {
            case (.goAway, _): goAway(neighbor)
            case (.lsa, .remote), (.lsa, .sibling), (.lsaAcknowledgment, .remote),
                (.lsaAcknowledgment, .sibling), (.lsaSummary, .remote), (.lsaSummary, .sibling),
                (.lsaSummaryAcknowledgment, .remote), (.lsaSummaryAcknowledgment, .sibling):
                try routing?.receive(type, bytes, from: neighbor)
            case (.counts, .sibling), (.counts, .sidecar), (.counts, .home):
                counts.received(try decode(bytes, Counts.decode), from: neighbor)
            case (.table, .home):
                sidecar?.received(try decode(bytes, SidecarTable.decode), from: neighbor)
            case (.tableAcknowledgment, .sidecar):
                sidecars.acknowledged(
                    try decode(bytes, SidecarTableAcknowledgment.decode),
                    by: neighbor
                )
            case (.wants, .sidecar):
                sidecars.wanted(try decode(bytes, SidecarWants.decode), by: neighbor)
            case (.report, .sidecar):
                let now = loop.now
                let report = try bytes.withRawSpan { span throws(WireError) in
                    try SidecarReport.decode(span, at: now)
                }
                sidecars.reported(report, by: neighbor)
            default:
                closeLane(id, LaneClosing(.protocolError, "\(type) from a \(kind) neighbor"))
            }
        } catch {
            closeLane(id, LaneClosing(.protocolError, "\(type): \(error)"))
        }
    }

    private func decode<Value>(
        _ bytes: [UInt8],
        _ decoder: (RawSpan) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        try bytes.withRawSpan(decoder)
    }

    /// The neighbor drains: other lanes are dialed while its own still carry streams.
    private func goAway(_ neighbor: ProxyID) {
        guard let adjacency = adjacencies[neighbor], !adjacency.isDraining else { return }
        adjacencies.setDraining(neighbor)
        let lanes = adjacency.lanes.filter(\.isDialed).map(\.id)
        for link in links.values { link.replace(lanes) }
        sidecar?.draining(neighbor)
    }
}
