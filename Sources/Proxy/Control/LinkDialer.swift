import NetworkModel
import SiteConfiguration
import SiteControl
import Wire

/// Keeps the lanes of one Link dialed: the endpoints in turn, names resolved each time, never giving up.
///
/// One lane at first; once the neighbor's HELLO tells its loops, max(loops of both) and at most eight. Confined to loop 0.
final class LinkDialer {
    private enum State {
        /// Waits for its timer, or for a look-up.
        case waiting
        case dialing(LaneID, HostAndPort)
        case up(LaneID, HostAndPort)
    }

    private struct Slot {
        var state = State.waiting
        var backOff = BackOff()
        var attempts = 0
        /// Distinguishes the timers and look-ups of a slot's successive states.
        var generation = 0
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
    private unowned let control: ControlPlane
    private var slots = [Slot()]
    /// Lanes of draining neighbors, or to endpoints that are not listed any more: they carry their streams to the end, new
    /// ones were dialed in their place.
    private var retired: Set<LaneID> = []
    /// The last error of every endpoint.
    private var errors: [String: String] = [:]
    private var isStopped = false
    private static let laneLimit = 8

    init(_ configuration: LinkConfiguration, control: ControlPlane) {
        self.configuration = configuration
        self.control = control
    }

    var isConnected: Bool {
        slots.contains { if case .up = $0.state { true } else { false } }
    }

    /// Every lane that was dialed and has not ended.
    var lanes: [LaneID] {
        retired.sorted()
            + slots.compactMap { slot in
                switch slot.state {
                case .up(let id, _), .dialing(let id, _): id
                case .waiting: nil
                }
            }
    }

    func start() {
        guard configuration.remoteSite != control.core.id.site else {
            failure = LinkFailure(.toSelf, LinkFailure.toSelf)
            return
        }
        attempt(0)
    }

    /// Closes every lane; the dialer is done.
    func stop() {
        isStopped = true
        for id in lanes { control.closeLane(id, LaneClosing(.configurationChanged)) }
        slots = []
        retired = []
    }

    /// Lets others take the place of every lane; the dialer is done.
    func leave() {
        isStopped = true
        for slot in slots { giveUp(slot) }
        slots = []
    }

    /// True while lanes to endpoints that are not listed any more carry what they carried.
    var isLeavingEndpoints: Bool { !isConnected && !retired.isEmpty }

    func update(_ configuration: LinkConfiguration) {
        let isRetimed = configuration.health != self.configuration.health
        let isReaddressed = configuration.endpoints != self.configuration.endpoints
        self.configuration = configuration
        closeUnpinned()
        if isReaddressed { readdress() }
        guard isRetimed else { return }
        for id in lanes { control.retime(id, control.hello(for: configuration)) }
    }

    /// Ends the lanes to a site that is not pinned any more; the others stay, whichever pin they came by.
    private func closeUnpinned() {
        for id in lanes {
            guard let neighbor = control.adjacencies.owner(of: id), !isPinned(neighbor.site) else {
                continue
            }
            control.closeLane(id, LaneClosing(.configurationChanged))
        }
    }

    private func isPinned(_ site: SiteID) -> Bool { configuration.remoteSites.contains(site) }

    /// Dials the endpoints that are listed now beside the lanes to those that are not.
    private func readdress() {
        errors = [:]
        failure = nil
        for index in slots.indices {
            switch slots[index].state {
            case .up(_, let endpoint) where configuration.endpoints.contains(endpoint): continue
            case .dialing(_, let endpoint) where configuration.endpoints.contains(endpoint):
                continue
            default: giveUp(slots[index])
            }
            slots[index].state = .waiting
            slots[index].attempts = 0
            slots[index].backOff.reset()
        }
        // The first lane speaks for all: the others come back with it.
        if !isConnected { slots.removeSubrange(1...) }
        for index in slots.indices {
            if case .waiting = slots[index].state { attempt(index) }
        }
        control.snapshotChanged()
    }

    private func giveUp(_ slot: Slot) {
        switch slot.state {
        case .waiting: break
        case .dialing(let id, _): control.closeLane(id, LaneClosing(.configurationChanged))
        case .up(let id, _):
            retired.insert(id)
            control.drains.add([id], of: configuration)
        }
    }

    // MARK: Attempts

    private func attempt(_ index: Int) {
        guard !isStopped, slots.indices.contains(index) else { return }
        let endpoints = configuration.endpoints
        let target = endpoints[slots[index].attempts % endpoints.count]
        let round = slots[index].attempts / endpoints.count
        slots[index].attempts += 1
        slots[index].generation += 1
        let generation = slots[index].generation
        let name = configuration.name
        control.resolver.resolve(target.host, replyTo: control.loop.mailbox) { loop, result in
            loop.local(ControlPlane.self)?.links[name]?
                .resolved(target, result, round: round, slot: index, generation)
        }
    }

    private func resolved(
        _ target: HostAndPort,
        _ result: Result<[IPAddress], ResolverError>,
        round: Int,
        slot index: Int,
        _ generation: Int
    ) {
        guard !isStopped, slots.indices.contains(index), slots[index].generation == generation
        else { return }
        switch result {
        case .failure(let error):
            fail(index, LinkFailure(.unreachable, "\(target): \(error.reason)"), at: "\(target)")
        case .success(let addresses) where addresses.isEmpty:
            fail(index, LinkFailure(.unreachable, "\(target): no address"), at: "\(target)")
        case .success(let addresses):
            let id = control.core.makeLaneID()
            dials += 1
            slots[index].state = .dialing(id, target)
            let order = DialOrder(
                id: id,
                purpose: .link,
                endpoint: Endpoint(
                    address: addresses[round % addresses.count],
                    port: target.port
                ),
                parameters: Lane.Parameters(
                    context: control.core.current.context,
                    health: configuration.health,
                    expectedSites: configuration.remoteSites
                ),
                hello: control.hello(for: configuration)
            )
            control.dial(order, for: .link(configuration.name), on: index % control.core.loops)
        }
    }

    private func fail(_ index: Int, _ failure: LinkFailure, at endpoint: String) {
        errors[endpoint] = failure.message
        if !isConnected {
            self.failure = failure
            if failure.reason == .unreachable, errors.count > 1 {
                self.failure?.message = errors.sorted { $0.key < $1.key }.map(\.value)
                    .joined(separator: "; ")
            }
        }
        control.snapshotChanged()
        slots[index].state = .waiting
        // The first lane speaks for all: the others come back with it.
        if index > 0, !isConnected {
            slots.removeSubrange(1...)
            return
        }
        retry(index)
    }

    private func retry(_ index: Int) {
        slots[index].generation += 1
        let generation = slots[index].generation
        let wait = slots[index].backOff.next(using: &control.random)
        control.loop.schedule(after: wait) { [weak self] _ in
            guard let self, slots.indices.contains(index), slots[index].generation == generation
            else { return }
            attempt(index)
        }
    }

    // MARK: What becomes of lanes

    /// A lane of this Link has exchanged HELLOs.
    func laneUp(_ id: LaneID, _ hello: Hello) {
        // What is pinned may be another site since it was dialed.
        guard let index = slot(of: id), case .dialing(_, let endpoint) = slots[index].state,
            isPinned(hello.proxy.site)
        else {
            control.closeLane(id, LaneClosing(.configurationChanged))
            return
        }
        slots[index].state = .up(id, endpoint)
        slots[index].attempts = 0
        slots[index].backOff.reset()
        failure = nil
        errors = [:]
        (remoteName, remoteSite) = (hello.name, hello.proxy.site)
        let wanted = min(max(hello.loops, control.core.loops), Self.laneLimit)
        while slots.count < wanted {
            slots.append(Slot())
            attempt(slots.count - 1)
        }
    }

    /// A lane of this Link has ended, or was never established.
    func laneEnded(_ id: LaneID, _ reason: LaneEnd, wasUp: Bool, gauge: LaneGauge?) {
        openedBefore += gauge?.opened ?? 0
        retired.remove(id)
        guard !isStopped, let index = slot(of: id) else { return }
        var endpoint = configuration.endpoints.first.map { "\($0)" } ?? ""
        if case .dialing(_, let dialed) = slots[index].state { endpoint = "\(dialed)" }
        slots[index].state = .waiting
        if wasUp, !isConnected {
            losses += 1
            lastLoss = LinkLoss(
                time: WallClock.now,
                reason: reason.explanation,
                connections: gauge?.active ?? 0
            )
        }
        let failure = LinkFailure(
            reason,
            link: configuration,
            endpoint: endpoint,
            site: control.siteName
        )
        fail(index, failure, at: endpoint)
    }

    /// The neighbor of these lanes drains: others are dialed before it closes them.
    func replace(_ draining: [LaneID]) {
        for index in slots.indices {
            guard case .up(let id, _) = slots[index].state, draining.contains(id) else { continue }
            retired.insert(id)
            slots[index].state = .waiting
            slots[index].backOff.reset()
            retry(index)
        }
    }

    private func slot(of id: LaneID) -> Int? {
        slots.firstIndex { slot in
            switch slot.state {
            case .up(id, _), .dialing(id, _): true
            default: false
            }
        }
    }
}
