import Balancing
package import NetworkModel
package import ProxyContract
import Wire

/// What a sidecar decides: its gateways, what they tell it of services, and what it tells them.
///
/// Sans I/O, as `GatewayControl`.
package struct SidecarControl: Sendable {
    var neighborhood: Neighborhood
    var routes = SidecarRoutes()
    var counts: SidecarCounts
    var reportPace = ReportPace()
    var reporter = SidecarReporter()
    var views = Views()
    var failovers = FailoverJournal()
    var pace = SnapshotPace()
    var shortages: [HostShortage] = []
    /// Service ports of which the shell has a balancer, and how each stands once it has reported.
    var services: [ServicePort: ServiceReport] = [:]
    private let listeners: [SidecarListener]
    private var places = ListenerReports<ListenPlace>()
    /// Where clients are awaited.
    private var listening: [ClientListener] = []
    private var isDraining = false
    private var hasStoppedListening = false
    private var refusesStreams = false
    private var wasReady: Bool?

    package init(_ options: ControlOptions, listeners: [SidecarListener]) {
        neighborhood = Neighborhood(options, role: .sidecar)
        counts = SidecarCounts(own: options.own)
        self.listeners = listeners
    }

    var own: ProxyID { neighborhood.own }

    /// How this sidecar drains.
    package var drainParameters: DrainParameters { .standard }

    /// When `handle(.deadline)` has to be called at the latest.
    package var nextDeadline: Instant? {
        [
            neighborhood.nextDeadline, counts.nextDeadline, reportPace.nextDeadline,
            reporter.nextDeadline, pace.nextDeadline,
        ].compactMap(\.self).min()
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
        case .start:
            neighborhood.start(&turn)
            pace.start(at: now)
            reporter.start(at: now)
        case .drain, .stopListening, .stopStreams, .stop: end(input, &turn)
        case .dialed(let candidate): dialed(candidate, &turn)
        case .ended(let id, let end, let wasUp, _): ended(id, end, wasUp: wasUp, &turn)
        case .frame(let type, let bytes, let neighbor, let id):
            received(type, bytes, from: neighbor, on: id, &turn)
        case .clientPlace(let place, let loop, let failure):
            if let news = places.take(place, loop: loop, failure) {
                turn.log("cannot listen for clients on port \(place.port): \(news)")
            }
            pace.changed(at: now)
        case .countsChanged: reportPace.changed(at: now)
        case .services(let reports): take(reports, &turn)
        case .viewSeen(let number): views.saw(number)
        case .measured(let figures, let shortages):
            neighborhood.measured(figures)
            turn.tell(shortages, since: self.shortages)
            self.shortages = shortages
            pace.measured(at: now)
        case .resolved(.inside, let answer): neighborhood.resolvedInside(answer, &turn)
        case .deadline: advance(&turn)
        // A sidecar takes in no lanes, routes nothing and has no configuration: it cannot be told of them. Bulk lanes are for Links.
        case .configuration, .configurationFailed, .credentials, .endpoints, .candidate, .welcomed,
            .bulkLaneWanted, .lanePort, .resolved, .signed, .verified, .disbelieved:
            break
        }
        tellReadiness(&turn)
        return turn.outputs
    }

    /// Everything that is due.
    private mutating func advance(_ turn: inout Turn) {
        neighborhood.handleDeadline(&turn)
        counts.handleDeadline(neighborhood.table, &turn)
        if reportPace.take(at: turn.now) { turn.outputs.append(.report) }
        let counters = services.keys.sorted().compactMap { services[$0]?.shownCounters }
        reporter.handleDeadline(
            counters,
            failovers.records,
            to: counts.homes,
            over: neighborhood.table,
            &turn
        )
        switch pace.handleDeadline(turn.now) {
        case .nothing: break
        case .measure: turn.outputs.append(.measure)
        case .build:
            turn.outputs.append(.snapshot(makeSnapshot(turn)))
            pace.built(true, at: turn.now)
        }
    }

    /// Ready once a gateway has told of every address that this sidecar listens for.
    private mutating func tellReadiness(_ turn: inout Turn) {
        let known = routes.services
        let isReady =
            !counts.homes.isEmpty && !isDraining
            && listeners.allSatisfy { known.contains($0.service) }
        guard isReady != wasReady else { return }
        wasReady = isReady
        turn.outputs.append(.ready(isReady))
    }

    private mutating func end(_ input: ControlInput, _ turn: inout Turn) {
        switch input {
        case .drain:
            isDraining = true
            for home in counts.homes { neighborhood.table.send(.goAway, [], to: home, &turn) }
        case .stopListening:
            hasStoppedListening = true
            turn.outputs.append(.listenForClients([]))
        case .stopStreams:
            refusesStreams = true
            views.publish(refusesStreams: true, &turn)
        default: neighborhood.stop()
        }
        pace.changed(at: turn.now)
    }

    // MARK: Gateways

    private mutating func dialed(_ candidate: LaneCandidate, _ turn: inout Turn) {
        guard case .inside(let address)? = neighborhood.desk.owner(of: candidate.id) else { return }
        let gateway = candidate.hello.proxy
        let isNew = neighborhood.add(
            candidate,
            loop: candidate.loop,
            edge: nil,
            isDialed: true,
            isBulk: false,
            kind: .home,
            &turn
        )
        if isNew {
            let changed = counts.attached(gateway, at: turn.now)
            setOthers(changed, &turn)
            reporter.tellAll()
            tellWants(gateway, &turn)
            refresh(&turn)
        }
        if isDraining { neighborhood.table.send(.goAway, [], to: gateway, &turn) }
        neighborhood.insideLaneUp(candidate, at: address, dialsAll: true, &turn)
        pace.changed(at: turn.now)
    }

    /// A gateway tells of nothing else.
    private func tellWants(_ gateway: ProxyID, _ turn: inout Turn) {
        let wants = SidecarWants(Set(listeners.map(\.service)).sorted())
        neighborhood.table.send(.wants, wants.encoded, to: gateway, &turn)
    }

    private mutating func ended(
        _ id: LaneID,
        _ end: LaneEnd,
        wasUp: Bool,
        _ turn: inout Turn
    ) {
        guard let removal = neighborhood.ended(id, end, wasUp: wasUp, &turn).removal else { return }
        let gateway = removal.neighbor
        if removal.isLast {
            routes.drop(gateway)
            reporter.tellAll()
            refresh(&turn)
            let changed = counts.detached(gateway)
            setOthers(changed, &turn)
        } else if removal.wasFirst {
            // Control frames may have been lost with the lane that carried them.
            counts.disturbed(gateway, at: turn.now)
            reporter.tellAll()
            tellWants(gateway, &turn)
            // The gateway waits for it, whether it has lost frames or not.
            if let answer = routes.answer(to: gateway) {
                neighborhood.table.send(
                    .tableAcknowledgment,
                    answer.encoded,
                    to: gateway,
                    &turn
                )
            }
        }
        pace.changed(at: turn.now)
    }

    /// A control frame of a gateway; one that it may not send ends the lane.
    private mutating func received(
        _ type: FrameType,
        _ bytes: [UInt8],
        from gateway: ProxyID,
        on id: LaneID,
        _ turn: inout Turn
    ) {
        guard let adjacency = neighborhood.table[gateway] else { return }
        do {
            switch type {
            // The others are used, if there are any.
            case .goAway where !adjacency.isDraining:
                neighborhood.setDraining(gateway)
                routes.setDraining(gateway)
                refresh(&turn)
            case .goAway: break
            case .counts:
                let frame = try bytes.decode(Counts.decode)
                let changed = counts.received(frame, from: gateway, &turn)
                setOthers(changed, &turn)
            case .ended:
                turn.outputs.append(.ended(Set(try bytes.decode(ProxiesEnded.decode).proxies)))
            case .table: receivedTable(try bytes.decode(SidecarTable.decode), from: gateway, &turn)
            default:
                let closing = LaneClosing(.protocolError, "\(type) from a home neighbor")
                neighborhood.close(id, closing, &turn)
            }
        } catch {
            let closing = LaneClosing(.protocolError, "\(type): \(error)")
            neighborhood.close(id, closing, &turn)
        }
    }

    private mutating func receivedTable(
        _ table: SidecarTable,
        from gateway: ProxyID,
        _ turn: inout Turn
    ) {
        guard let answer = routes.apply(table, from: gateway) else { return }
        if table.isLast { refresh(&turn) }
        neighborhood.table.send(.tableAcknowledgment, answer.encoded, to: gateway, &turn)
    }

    // MARK: Services

    /// Gives every balancer what the gateways say.
    private mutating func refresh(_ turn: inout Turn) {
        let known = routes.services
        for key in known.sorted() {
            let isNew = services[key] == nil
            if isNew { services[key] = ServiceReport(key) }
            let joined = routes.targets(key)
            turn.outputs.append(.updateService(key, update(key, joined)))
            let others = counts.others(key)
            if isNew, !others.isEmpty { turn.outputs.append(.setOthers(key, others)) }
        }
        for key in services.keys.sorted() where !known.contains(key) {
            turn.outputs.append(.updateService(key, lost(key)))
        }
        views.publish(refusesStreams: refusesStreams, &turn)
        pace.changed(at: turn.now)
    }

    private func update(_ key: ServicePort, _ joined: [SidecarRoutes.Joined]) -> ServiceUpdate {
        ServiceUpdate(
            servers: [],
            targets: joined.map(\.target),
            ways: Dictionary(
                joined.map { ($0.target.site, Ways(routes: $0.routes)) },
                uniquingKeysWith: { first, _ in first }
            ),
            isOffered: false,
            timeouts: routes.timeouts(key),
            isEarly: routes.isEarly(key),
            policy: routes.policy(key)
        )
    }

    /// Without a gateway nothing is in reach; the balancer remembers, for the failback.
    private func lost(_ key: ServicePort) -> ServiceUpdate {
        ServiceUpdate(
            servers: [],
            targets: (services[key]?.targets ?? []).map { target in
                guard target.reach.offer != nil else { return target }
                return Target(site: target.site, reach: .absent(.linkLost))
            },
            ways: [:],
            isOffered: false,
            timeouts: .standard
        )
    }

    /// How some services stand.
    private mutating func take(_ reports: [ServiceReport], _ turn: inout Turn) {
        let known = routes.services
        for report in reports where services[report.service] != nil {
            let key = report.service
            services[key] = report
            counts.setOwn(key, report.ownCounts, at: turn.now)
            failovers.append(report.records)
            let isListenedFor = listeners.contains { $0.service == key }
            if !known.contains(key), report.isIdle, !isListenedFor {
                services[key] = nil
                turn.outputs.append(.forgetService(key))
                views.publish(refusesStreams: refusesStreams, &turn)
            }
        }
        publishListeners(&turn)
        pace.changed(at: turn.now)
    }

    private mutating func publishListeners(_ turn: inout Turn) {
        let wanted = clientListeners
        guard !hasStoppedListening, wanted != listening else { return }
        listening = wanted
        // What is not wanted any more cannot fail any more.
        places.keep(wanted.map(\.place))
        turn.outputs.append(.listenForClients(wanted))
    }

    private var clientListeners: [ClientListener] {
        listeners.filter { services[$0.service]?.hasTarget == true }
            .map {
                ClientListener(
                    service: $0.service,
                    place: ListenPlace(address: $0.endpoint.address, port: $0.endpoint.port)
                )
            }
    }

    /// Others have other counts of these services.
    private func setOthers(_ changed: Set<ServicePort>, _ turn: inout Turn) {
        for key in changed.sorted() where services[key] != nil {
            turn.outputs.append(.setOthers(key, counts.others(key)))
        }
    }

    // MARK: The snapshot, which is for metrics only

    package func snapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot {
        makeSnapshot(Turn(now: now, wall: wall))
    }

    package func wholeSnapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot {
        makeSnapshot(Turn(now: now, wall: wall))
    }

    private func makeSnapshot(_ turn: Turn) -> ProxySnapshot {
        var snapshot = ProxySnapshot(proxy: own)
        if !shortages.isEmpty { snapshot.shortages = shortages.map(\.explanation) }
        let (names, reports) = (routes.names, services.sorted { $0.key < $1.key }.map(\.value))
        let name = { (site: SiteID) in SiteName(id: site, name: names[site] ?? "") }
        snapshot.services = reports.map { service($0, name) }
        snapshot.counters = reports.compactMap(\.shownCounters)
        snapshot.failovers = failovers.records.map { $0.snapshot(name: name, turn) }
        return snapshot
    }

    private func service(_ report: ServiceReport, _ name: (SiteID) -> SiteName) -> ServiceSnapshot {
        let listener = clientListeners.first { $0.service == report.service }
        let error = listener.flatMap { known in places.failure { $0 == known.place } }
        let targets = report.shownTargets(name: name) { site in
            site == own.site ? "local" : "from/\(name(site).displayName)"
        }
        var snapshot = ServiceSnapshot(
            service: report.service,
            listening: report.hasTarget && error == nil && !hasStoppedListening,
            targets: targets
        )
        snapshot.listenError = error
        return snapshot
    }
}
