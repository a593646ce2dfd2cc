package import NetworkModel
import ProxyContract
import Routing
import Wire

/// What a gateway decides: lanes, routing, services, counts, sidecars, the snapshot.
///
/// Sans I/O. The shell drains the outputs of `handle` before the next input, and calls with `.deadline` once `nextDeadline` has
/// passed. No input costs more than what it concerns: what concerns thousands of services is done in steps, each of which is
/// a deadline that is due at once. Equal inputs at equal times have equal outputs.
package struct GatewayControl: Sendable {
    var neighborhood: Neighborhood
    var document: ConfigurationDocument?
    var configurationError: String?
    /// Those that lead to this site's gateways.
    var ownAddresses = OwnAddresses()
    var appliedCount: UInt64 = 0
    var links: [LinkName: LinkDialer] = [:]
    /// When which Link has to be looked at: there may be a thousand.
    var linkAgenda = Agenda<LinkName>()
    var drains = LaneDrains()
    /// What new lanes are dialed with; nil before the start.
    var certificateChain: [[UInt8]]?
    var ports: LanePorts
    var places = ListenerReports<ListenPlace>()
    var refusals = RefusalList()
    var joins = JoinClaims()
    /// When neighbors with new credentials got other lanes last.
    var renewals: [ProxyID: Instant] = [:]
    var routing: RoutingInstance
    var arrivals = AdvertisementDesk()
    var services: ServiceTable
    var counts: GatewayCounts
    /// Of Links whose cost follows the round-trip time.
    var measuredCosts: [LinkName: AutoCost] = [:]
    var reportPace = ReportPace()
    var sidecars = SidecarServer()
    var views = Views()
    /// Others hear of other numbers of servers once every loop knows of what is offered.
    var owesAdvertisement = false
    /// Service ports that were taken out: clients come under the old name of one until every loop knows the new one.
    var leaving = Leaving()
    var readiness = Readiness()
    var failovers = FailoverJournal()
    var pace = SnapshotPace()
    var shown = ShownServices()
    /// Round trips as last shown, so that jitter makes no new snapshots.
    var shownRoundTrips: [LinkName: UInt64] = [:]
    var shortages: [HostShortage] = []
    var isDraining = false
    var hasStoppedListening = false
    var refusesStreams = false
    private var wasReady: Bool?

    package init(_ options: ControlOptions) {
        neighborhood = Neighborhood(options, role: .gateway)
        ports = LanePorts(loops: options.loops)
        routing = RoutingInstance(
            origin: options.own,
            predecessors: options.predecessors
        )
        services = ServiceTable(options)
        counts = GatewayCounts(own: options.own)
    }

    var own: ProxyID { neighborhood.own }
    var configuration: SiteConfiguration? { document?.configuration }

    /// How this gateway drains.
    package var drainParameters: DrainParameters { configuration?.drain ?? .standard }

    /// When `handle(.deadline)` has to be called at the latest.
    package var nextDeadline: Instant? {
        let routes = [
            routing.nextDeadline, arrivals.nextDeadline, linkAgenda.next,
            neighborhood.nextDeadline, drains.nextDeadline, counts.nextDeadline,
        ]
        let rest = [
            services.nextDeadline, services.namesDeadline, reportPace.nextDeadline,
            sidecars.nextDeadline, readiness.nextDeadline, pace.nextDeadline,
        ]
        return (routes + rest).compactMap(\.self).min()
    }

    /// Takes one thing that happened, and gives everything that has to be done about it.
    ///
    /// `now` is the monotonic clock, by which everything is timed; `wall` is the time of day.
    package mutating func handle(
        _ input: ControlInput,
        at now: Instant,
        wall: Timestamp
    ) -> [ControlOutput] {
        var turn = Turn(now: now, wall: wall)
        switch input {
        case .start, .configuration, .configurationFailed, .credentials, .endpoints, .drain,
            .stopListening, .stopStreams, .stop:
            order(input, &turn)
        case .candidate(let candidate): admit(candidate, &turn)
        case .welcomed(let id): welcomed(id, &turn)
        case .dialed(let candidate): dialed(candidate, &turn)
        case .bulkLaneWanted(let id): bulkLaneWanted(beside: id, &turn)
        case .ended(let id, let end, let wasUp, let figures):
            ended(id, end, wasUp: wasUp, figures, &turn)
        case .frame(let type, let bytes, let neighbor, let id):
            received(type, bytes, from: neighbor, on: id, &turn)
        case .lanePort(let port, let loop, let failure):
            if ports.tried(port, loop: loop, failure, &turn) { pace.changed(at: now) }
        case .clientPlace(let place, let loop, let failure):
            tried(place, loop: loop, failure, &turn)
        case .countsChanged: reportPace.changed(at: now)
        case .services(let reports): take(reports, &turn)
        case .viewSeen(let number): saw(number, &turn)
        case .measured(let figures, let shortages): measured(figures, shortages, &turn)
        case .resolved(let question, let answer): resolved(question, answer, &turn)
        case .signed(let signed): feed(.signed(signed), &turn)
        case .verified(let signed): verified(signed, &turn)
        case .disbelieved(let reason): disbelieved(reason, &turn)
        case .deadline: advance(&turn)
        }
        tellReadiness(&turn)
        return turn.outputs
    }

    /// Everything that is due.
    private mutating func advance(_ turn: inout Turn) {
        if let deadline = routing.nextDeadline, deadline <= turn.now { feed(.deadline, &turn) }
        verifyNext(&turn)
        for name in linkAgenda.popDue(at: turn.now) {
            withLink(name, &turn) { link, _, turn in link.handleDeadline(&turn) }
        }
        neighborhood.handleDeadline(&turn)
        counts.handleDeadline(neighborhood.table, &turn)
        services.askNames(&turn)
        stepServices(&turn)
        if reportPace.take(at: turn.now) { turn.outputs.append(.report) }
        stepSidecars(&turn)
        lookAtLanes(&turn)
        if let deadline = readiness.nextDeadline, deadline <= turn.now {
            let isUndecided = links.values.contains { !$0.isConnected && $0.failure == nil }
            readiness.look(isUndecided: isUndecided, at: turn.now)
        }
        stepSnapshot(&turn)
    }

    private mutating func tellReadiness(_ turn: inout Turn) {
        let isOpenInside =
            neighborhood.options.internalPort == nil || ports.isOpen(.inside)
        let isReady = document != nil && isOpenInside && readiness.hasSettled && !isDraining
        guard isReady != wasReady else { return }
        wasReady = isReady
        turn.outputs.append(.ready(isReady))
    }

    /// Changes a Link's dialer; nothing when there is none.
    mutating func withLink(
        _ name: LinkName,
        _ turn: inout Turn,
        _ change: (inout LinkDialer, inout DialDesk, inout Turn) -> Void
    ) {
        guard let index = links.index(forKey: name) else { return }
        change(&links.values[index], &neighborhood.desk, &turn)
        linkAgenda.set(name, at: links.values[index].nextDeadline)
        pace.changed(at: turn.now)
    }

    /// Sends a control frame to a neighbor; nothing when there is no lane.
    func send(_ type: FrameType, _ payload: [UInt8], to neighbor: ProxyID, _ turn: inout Turn) {
        neighborhood.table.send(type, payload, to: neighbor, &turn)
    }
}
