import NetworkModel
import ProxyContract
import Wire

/// Keeps the lanes of one Link dialed: the endpoints in turn, names resolved each time, never giving up.
///
/// One lane at first; once the neighbor's HELLO tells its loops, max(loops of both) and at most eight. Pure.
struct LinkDialer: Sendable {
    private enum State: Sendable {
        /// Can become: asking, once the instant has passed.
        case waiting(until: Instant)
        /// The name of the endpoint is looked up. Can become: dialing, waiting.
        case asking(attempt: UInt64, HostAndPort, round: Int)
        /// Can become: up, waiting.
        case dialing(LaneID, HostAndPort)
        /// Can become: waiting.
        case up(LaneID, HostAndPort)

        var lane: LaneID? {
            switch self {
            case .up(let id, _), .dialing(let id, _): id
            case .waiting, .asking: nil
            }
        }
    }

    private struct Slot: Sendable {
        var state: State
        var backoff = Backoff.dialing
        var attempts = 0
    }

    private(set) var configuration: LinkConfiguration
    /// What the status says.
    private(set) var failure: LinkFailure?
    private(set) var remoteName: String?
    /// Which of the pinned sites answered last.
    private(set) var remoteSite: SiteID?
    private(set) var losses: UInt64 = 0
    /// Lanes dialed so far, those that failed included.
    private(set) var dials: UInt64 = 0
    private(set) var lastLoss: LinkLoss?
    /// Streams that lanes of this Link carried which have ended.
    private(set) var openedBefore: UInt64 = 0
    private var slots: [Slot] = []
    /// Lanes of draining neighbors, or to endpoints that are not listed any more: they carry their streams to the end, new
    /// ones were dialed in their place.
    private var retired: Set<LaneID> = []
    private var isReplacing = false
    private var bulk = BulkLanes()
    /// The last error of every endpoint.
    private var errors: [String: String] = [:]
    private var attempts: UInt64 = 0

    init(_ configuration: LinkConfiguration) { self.configuration = configuration }

    var isConnected: Bool {
        slots.contains { if case .up = $0.state { true } else { false } }
    }

    /// Others take the place of lanes that carry on: the first of those is being dialed.
    var isRenewing: Bool { isReplacing && !isConnected && !retired.isEmpty }

    /// True while lanes to endpoints that are not listed any more carry what they carried.
    var isLeavingEndpoints: Bool { !isConnected && !retired.isEmpty }

    /// Every lane that was dialed and has not ended.
    var lanes: [LaneID] { retired.sorted() + slots.compactMap(\.state.lane) + bulk.all }

    /// When `handleDeadline` has to be called; nil while nothing waits.
    var nextDeadline: Instant? {
        slots.compactMap { slot in
            if case .waiting(let until) = slot.state { until } else { nil }
        }.min()
    }

    mutating func start(_ desk: DialDesk, _ turn: inout Turn) {
        guard configuration.remoteSite != desk.own.site else {
            failure = LinkFailure(.toSelf, LinkFailure.toSelf)
            return
        }
        slots = [Slot(state: .waiting(until: turn.now))]
        attempt(0, &turn)
    }

    /// The lanes whose place others take, and those to close, when the Link goes on under another name.
    mutating func left() -> (retiring: [LaneID], closing: [LaneID]) {
        let (up, dialing) = bulk.removeAll()
        var left = (retiring: up, closing: dialing)
        for slot in slots {
            switch slot.state {
            case .up(let id, _): left.retiring.append(id)
            case .dialing(let id, _): left.closing.append(id)
            case .waiting, .asking: break
            }
        }
        return left
    }

    // MARK: Configuration

    /// Lanes to retime, to close, and to let others take the place of.
    struct Changed: Equatable {
        var retimed: [LaneID] = []
        var closing: [LaneID] = []
        var retiring: [LaneID] = []
    }

    /// `site` gives the neighbor's site of a lane that is up.
    mutating func update(
        _ new: LinkConfiguration,
        site: (LaneID) -> SiteID?,
        _ turn: inout Turn
    ) -> Changed {
        let isRetimed =
            new.health != configuration.health || new.resumeGrace != configuration.resumeGrace
        let isReaddressed = new.endpoints != configuration.endpoints
        configuration = new
        var changed = Changed()
        // Lanes to a site that is not pinned any more; the others stay, whichever pin they came by.
        changed.closing = lanes.filter { id in
            site(id).map { !new.remoteSites.contains($0) } ?? false
        }
        if isReaddressed { readdress(&changed, &turn) }
        if isRetimed { changed.retimed = lanes }
        return changed
    }

    /// Dials the endpoints that are listed now beside the lanes to those that are not.
    private mutating func readdress(_ changed: inout Changed, _ turn: inout Turn) {
        guard !slots.isEmpty else { return }
        errors = [:]
        failure = nil
        isReplacing = false
        // They are dialed again beside whatever lanes there are then.
        let left = bulk.removeAll()
        retired.formUnion(left.up)
        changed.retiring += left.up
        changed.closing += left.dialing
        for index in slots.indices {
            switch slots[index].state {
            case .up(_, let endpoint) where configuration.endpoints.contains(endpoint): continue
            case .dialing(_, let endpoint) where configuration.endpoints.contains(endpoint):
                continue
            case .up(let id, _):
                retired.insert(id)
                changed.retiring.append(id)
            case .dialing(let id, _): changed.closing.append(id)
            case .waiting, .asking: break
            }
            slots[index] = Slot(state: .waiting(until: turn.now))
        }
        // The first lane speaks for all: the others come back with it.
        if !isConnected { slots.removeSubrange(1...) }
        handleDeadline(&turn)
    }

    // MARK: Attempts

    mutating func handleDeadline(_ turn: inout Turn) {
        for index in slots.indices {
            if case .waiting(let until) = slots[index].state, until <= turn.now {
                attempt(index, &turn)
            }
        }
    }

    private mutating func attempt(_ index: Int, _ turn: inout Turn) {
        let endpoints = configuration.endpoints
        let target = endpoints[slots[index].attempts % endpoints.count]
        let round = slots[index].attempts / endpoints.count
        slots[index].attempts += 1
        attempts += 1
        slots[index].state = .asking(attempt: attempts, target, round: round)
        turn.outputs.append(
            .resolve(.link(configuration.name, attempt: attempts, host: target.host))
        )
    }

    /// The addresses of an endpoint, or why there are none.
    mutating func resolved(
        _ answered: UInt64,
        _ host: String,
        _ answer: Answer,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        for index in slots.indices {
            guard case .asking(answered, let target, let round) = slots[index].state,
                target.host == host
            else { continue }
            switch answer {
            case .failed(let reason):
                let failure = LinkFailure(.unreachable, "\(target): \(reason)")
                return fail(index, failure, at: "\(target)", &desk, &turn)
            case .addresses(let addresses) where addresses.isEmpty:
                let failure = LinkFailure(.unreachable, "\(target): no address")
                return fail(index, failure, at: "\(target)", &desk, &turn)
            case .addresses(let addresses):
                let address = addresses[round % addresses.count]
                let endpoint = Endpoint(address: address, port: target.port)
                dials += 1
                let id = desk.dial(endpoint, for: configuration, slot: index, &turn)
                slots[index].state = .dialing(id, target)
            }
        }
    }

    private mutating func fail(
        _ index: Int,
        _ failure: LinkFailure,
        at endpoint: String,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        errors[endpoint] = failure.message
        isReplacing = false
        if !isConnected {
            self.failure = failure
            if failure.reason == .unreachable, errors.count > 1 {
                self.failure?.message = errors.sorted { $0.key < $1.key }.map(\.value)
                    .joined(separator: "; ")
            }
        }
        retry(index, &desk, &turn)
        // The first lane speaks for all: the others come back with it.
        if index > 0, !isConnected { slots.removeSubrange(1...) }
    }

    private mutating func retry(_ index: Int, _ desk: inout DialDesk, _ turn: inout Turn) {
        let wait = slots[index].backoff.next(using: &desk.random)
        slots[index].state = .waiting(until: turn.now + wait)
    }

    // MARK: What becomes of lanes

    /// A lane of this Link has exchanged HELLOs; false when it has to be closed.
    mutating func laneUp(_ id: LaneID, _ hello: Hello, wanted: Int, _ turn: inout Turn) -> Bool {
        // What is pinned may be another site since it was dialed.
        guard let index = slot(of: id), case .dialing(_, let endpoint) = slots[index].state,
            configuration.remoteSites.contains(hello.proxy.site)
        else { return false }
        slots[index].state = .up(id, endpoint)
        isReplacing = false
        slots[index].attempts = 0
        slots[index].backoff.reset()
        failure = nil
        errors = [:]
        (remoteName, remoteSite) = (hello.name, hello.proxy.site)
        while slots.count < wanted {
            slots.append(Slot(state: .waiting(until: turn.now)))
            attempt(slots.count - 1, &turn)
        }
        return true
    }

    /// A lane of this Link has ended, or was never established.
    mutating func laneEnded(
        _ id: LaneID,
        _ end: LaneEnd,
        wasUp: Bool,
        _ figures: LaneFigures,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        openedBefore += figures.opened
        retired.remove(id)
        guard !bulk.ended(id, &desk, at: turn.now) else { return }
        guard let index = slot(of: id) else { return }
        var endpoint = configuration.endpoints.first.map { "\($0)" } ?? ""
        if case .dialing(_, let dialed) = slots[index].state { endpoint = "\(dialed)" }
        slots[index].state = .waiting(until: turn.now)
        if wasUp, !isConnected {
            losses += 1
            lastLoss = LinkLoss(
                time: turn.wall,
                reason: end.explanation,
                connections: figures.active
            )
        }
        let failure = LinkFailure(
            end,
            link: configuration,
            endpoint: endpoint,
            site: desk.siteName
        )
        fail(index, failure, at: endpoint, &desk, &turn)
    }

    /// These lanes are about to end: others are dialed before.
    ///
    /// Gives those of this Link that were up.
    @discardableResult
    mutating func replace(
        _ leaving: Set<LaneID>,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) -> [LaneID] {
        var replaced = bulk.remove(leaving)
        retired.formUnion(replaced)
        isReplacing = true
        for index in slots.indices {
            guard case .up(let id, _) = slots[index].state, leaving.contains(id) else { continue }
            retired.insert(id)
            replaced.append(id)
            slots[index].backoff.reset()
            retry(index, &desk, &turn)
        }
        return replaced
    }

    // MARK: Bulk

    /// Whether the lane was dialed to carry bulk.
    func isBulk(_ id: LaneID) -> Bool { bulk.contains(id) }

    /// Dials a lane for bulk beside one that leads to `neighbor`, which calls that one by `number`; not when there are enough.
    mutating func dialBulk(
        to neighbor: ProxyID,
        beside lane: AdjacencyTable.LaneEntry,
        _ number: UInt64,
        _ desk: inout DialDesk,
        _ turn: inout Turn
    ) {
        // Lanes that others take the place of get none beside them.
        guard slot(of: lane.id) != nil, bulk.mayDial(to: neighbor, at: turn.now) else { return }
        bulk.dialed(desk.dial(beside: lane, number, for: configuration, &turn), to: neighbor)
    }

    /// A bulk lane has exchanged HELLOs; false when it has to be closed.
    mutating func bulkLaneUp(_ id: LaneID, _ hello: Hello) -> Bool {
        bulk.isUp(id, hello) && configuration.remoteSites.contains(hello.proxy.site)
    }

    private func slot(of id: LaneID) -> Int? { slots.firstIndex { $0.state.lane == id } }
}
