import NetworkModel
import ProxyContract
import Routing
import Wire

/// What a gateway and a sidecar have in common: who their neighbors are, and the lanes with them.
///
/// It answers what has changed; what that means is for the gateway or the sidecar to say. Pure.
struct Neighborhood: Sendable {
    let options: ControlOptions
    private(set) var table = AdjacencyTable()
    var desk: DialDesk
    /// Lanes that were let in and have not yet said that they are in place.
    private var admitted: [LaneID: (candidate: LaneCandidate, loop: Int)] = [:]
    /// The site whose share holds an accepted lane.
    private var accounts: [LaneID: SiteID] = [:]
    private var heldLanes: [SiteID: Int] = [:]
    private var heldProxies: [SiteID: Int] = [:]
    /// Lanes to the gateways of the own site; nil for a gateway that is alone.
    private(set) var inside: InsideDialer?

    init(_ options: ControlOptions, role: ProxyRole) {
        self.options = options
        desk = DialDesk(
            own: options.own,
            role: role,
            loops: options.loops,
            seed: options.seed
        )
        inside = options.gateways.map(InsideDialer.init)
    }

    var own: ProxyID { options.own }

    /// When `handleDeadline` has to be called.
    var nextDeadline: Instant? { inside?.nextDeadline }

    mutating func start(_ turn: inout Turn) { inside?.start(&turn) }

    mutating func stop() { inside?.stop() }

    mutating func handleDeadline(_ turn: inout Turn) {
        guard let deadline = nextDeadline, deadline <= turn.now else { return }
        inside?.handleDeadline(&desk, &turn)
    }

    mutating func resolvedInside(_ answer: Answer, _ turn: inout Turn) {
        inside?.resolved(answer, &desk, &turn)
    }

    mutating func siblingLost(_ turn: inout Turn) { inside?.siblingLost(&desk, &turn) }

    mutating func setDraining(_ neighbor: ProxyID) { table.setDraining(neighbor) }

    mutating func measured(_ figures: [LaneID: LaneFigures]) { table.measured(figures) }

    // MARK: Letting in

    /// The last question before a lane is let in; the answer nil draws it from its site's share.
    mutating func objectionOfShare(
        _ candidate: LaneCandidate,
        _ turn: inout Turn
    ) -> LaneClosing? {
        let neighbor = candidate.hello.proxy
        let (site, shares) = (neighbor.site, options.shares)
        let isOwn = site == own.site
        let proxies = isOwn ? shares.proxiesOfOwnSite : shares.proxiesPerSite
        guard table[neighbor] != nil || heldProxies[site, default: 0] < proxies else {
            turn.outputs.append(.account(site, .deniedProxy))
            return LaneClosing(.overloaded, "too many proxies of site \(site)")
        }
        let lanes = isOwn ? shares.lanesOfOwnSite : shares.lanesPerSite
        let hasShare = heldLanes[site, default: 0] < lanes
        guard table.laneCount + admitted.count < shares.lanes, hasShare else {
            if !hasShare { turn.outputs.append(.account(site, .deniedLane)) }
            return LaneClosing(.overloaded, "too many lanes of site \(site)")
        }
        accounts[candidate.id] = site
        hold(1, lanesOf: site, &turn)
        return nil
    }

    private mutating func hold(_ change: Int, lanesOf site: SiteID, _ turn: inout Turn) {
        heldLanes[site, default: 0] += change
        turn.outputs.append(.account(site, .lanes(heldLanes[site] ?? 0)))
        if heldLanes[site] == 0 { heldLanes[site] = nil }
    }

    private mutating func hold(_ change: Int, proxiesOf site: SiteID, _ turn: inout Turn) {
        heldProxies[site, default: 0] += change
        turn.outputs.append(.account(site, .proxies(heldProxies[site] ?? 0)))
        if heldProxies[site] == 0 { heldProxies[site] = nil }
    }

    /// Lets a lane in, on the loop with the fewest lanes of this neighbor.
    mutating func admit(_ candidate: LaneCandidate, _ turn: inout Turn) {
        let loop = placement(of: candidate)
        admitted[candidate.id] = (candidate, loop)
        turn.outputs.append(
            .admit(candidate.id, on: candidate.loop, destination: loop, answer(to: candidate))
        )
    }

    private func answer(to candidate: LaneCandidate) -> Hello {
        var hello = desk.hello(for: nil)
        if candidate.purpose == .link { hello.lane = candidate.id.number }
        return hello
    }

    /// The loop with the fewest lanes of this neighbor, those on their way included; for a bulk lane that of the lane beside it.
    private func placement(of candidate: LaneCandidate) -> Int {
        if let beside = candidate.beside { return loop(of: beside) ?? candidate.loop }
        var counts = [Int](repeating: 0, count: options.loops)
        let neighbor = candidate.hello.proxy
        for lane in table[neighbor]?.lanes ?? [] where !lane.isBulk { counts[lane.loop] += 1 }
        for other in admitted.values
        where other.candidate.hello.proxy == neighbor && other.candidate.beside == nil {
            counts[other.loop] += 1
        }
        let fewest = counts.min() ?? 0
        if counts[candidate.loop] == fewest { return candidate.loop }
        return counts.firstIndex(of: fewest) ?? candidate.loop
    }

    // MARK: Lanes

    /// The admitted lane that is in place now.
    mutating func welcomed(_ id: LaneID) -> (candidate: LaneCandidate, loop: Int)? {
        admitted.removeValue(forKey: id)
    }

    /// A lane is open for streams; true when its neighbor is a new one.
    mutating func add(
        _ candidate: LaneCandidate,
        loop: Int,
        edge: EdgeName?,
        isDialed: Bool,
        isBulk: Bool,
        kind: AdjacencyTable.Kind,
        _ turn: inout Turn
    ) -> Bool {
        let entry = AdjacencyTable.LaneEntry(
            id: candidate.id,
            loop: loop,
            edge: edge,
            isDialed: isDialed,
            remote: candidate.remote,
            isBulk: isBulk,
            numberThere: isDialed ? candidate.hello.lane : nil
        )
        let isNew = table.add(entry, candidate.hello, kind: kind)
        if isNew {
            hold(1, proxiesOf: candidate.hello.proxy.site, &turn)
            turn.note("\(kind) \(candidate.hello.proxy) is up")
        }
        return isNew
    }

    /// A lane within the site that this proxy dialed is up.
    mutating func insideLaneUp(
        _ candidate: LaneCandidate,
        at address: IPAddress,
        dialsAll: Bool,
        _ turn: inout Turn
    ) {
        let wanted = dialsAll ? desk.wantedLanes(candidate.hello) : nil
        inside?.laneUp(candidate.id, at: address, wanted: wanted, &desk, &turn)
    }

    /// A lane has ended: whose it was, and what that means for its neighbor.
    mutating func ended(
        _ id: LaneID,
        _ end: LaneEnd,
        wasUp: Bool,
        _ turn: inout Turn
    ) -> (link: LinkName?, removal: AdjacencyTable.Removal?) {
        admitted[id] = nil
        if let site = accounts.removeValue(forKey: id) { hold(-1, lanesOf: site, &turn) }
        let removal = table.remove(id)
        var link: LinkName?
        switch desk.ended(id) {
        case .link(let name): link = name
        case .inside(let address):
            inside?.laneEnded(id, end, wasUp: wasUp, at: address, &desk, &turn)
        case nil: break
        }
        if let removal {
            turn.note("a lane to \(removal.neighbor) ended: \(end.explanation)")
            if removal.isLast {
                hold(-1, proxiesOf: removal.neighbor.site, &turn)
                turn.note("\(removal.kind) \(removal.neighbor) is down")
            }
        }
        return (link, removal)
    }

    /// The loop of a lane, as far as it is known.
    func loop(of id: LaneID) -> Int? {
        if let neighbor = table.owner(of: id) {
            return table[neighbor]?.lanes.first { $0.id == id }?.loop
        }
        return admitted[id]?.loop
    }

    func close(_ id: LaneID, _ closing: LaneClosing, _ turn: inout Turn) {
        turn.outputs.append(.close(id, on: loop(of: id), closing))
    }
}
