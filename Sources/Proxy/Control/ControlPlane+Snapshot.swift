import Balancing
import NetworkModel
import Routing
import SiteConfiguration
import SiteControl

// The snapshot: what this proxy observes, as the controller and people read it.

extension ControlPlane {
    private static let snapshotInterval: Duration = .milliseconds(200)

    /// Something that the snapshot shows may have changed; it is built a little later, at most five times a second.
    func snapshotChanged() {
        guard !isSnapshotScheduled else { return }
        isSnapshotScheduled = true
        loop.schedule(after: Self.snapshotInterval) { [weak self] _ in
            guard let self else { return }
            isSnapshotScheduled = false
            takeSnapshot()
        }
    }

    /// The same after a change of these services; a change that is not of some services needs no more than `snapshotChanged`.
    func snapshotChanged(_ keys: Set<ServicePort>) {
        shown.mark(keys)
        snapshotChanged()
    }

    /// Publishes what is known now of everything.
    func takeWholeSnapshot() { snapshots.offer(makeWholeSnapshot()) }

    private func takeSnapshot() { snapshots.offer(makeSnapshot()) }

    /// As `makeSnapshot`, with all services looked at anew.
    func makeWholeSnapshot() -> ProxySnapshot {
        shown.markAll()
        return makeSnapshot()
    }

    func makeSnapshot() -> ProxySnapshot {
        let now = loop.now
        var snapshot = ProxySnapshot(proxy: core.id)
        snapshot.appliedGeneration = document?.generation ?? 0
        snapshot.appliedCount = appliedCount
        snapshot.configurationError = configurationError
        snapshot.refusedAdvertisements = routing?.refusals ?? 0
        snapshot.linkPortError = lanePorts.failure(.link)
        if !shortages.isEmpty { snapshot.shortages = shortages.map(\.explanation) }
        snapshot.links = links.values.map(link).sorted { $0.name < $1.name }
        snapshot.refused = refusals.links
        // A sidecar's snapshot is for metrics only.
        if core.isSidecar { shown.markAll() }
        let shared = sharedServices
        let context = ShownServices.Context(
            names: siteNames,
            links: document?.configuration.links ?? []
        )
        shown.refresh(shared.keys, in: context, at: now) { key in
            // There may be thousands.
            loop.breathe()
            return (isShown(key) ? service(key) : nil, shared[key].flatMap(counters))
        }
        snapshot.services = shown.services
        snapshot.counters = shown.counters
        snapshot.failovers = failovers.records.map { self.snapshot(of: $0, at: now) }
        snapshot.sidecars = sidecars.snapshots(at: now)
        return snapshot
    }

    private func isShown(_ key: ServicePort) -> Bool {
        core.isSidecar || services.configuration(key) != nil
    }

    // MARK: Links

    private func link(_ dialer: LinkDialer) -> LinkSnapshot {
        let configuration = dialer.configuration
        let isConnected = dialer.isConnected
        var snapshot = LinkSnapshot(
            name: configuration.name,
            reason: isConnected ? .connected : dialer.failure?.reason ?? .connecting,
            message: isConnected ? "" : dialer.failure?.message ?? "",
            cost: configuration.cost
        )
        if dialer.isLeavingEndpoints {
            snapshot.message +=
                (snapshot.message.isEmpty ? "" : "; ")
                + "the lanes to the former endpoints carry their connections on for at most"
                + " drain.grace"
        }
        if let name = dialer.remoteName {
            snapshot.remote = SiteName(
                id: dialer.remoteSite ?? configuration.remoteSite,
                name: name
            )
        }
        let lanes = dialer.lanes.compactMap { id in
            adjacencies.owner(of: id)
                .flatMap { adjacencies[$0]?.lanes.first { $0.id == id } }
        }
        snapshot.active = lanes.reduce(0) { $0 + $1.gauge.active }
        snapshot.opened = dialer.openedBefore + lanes.reduce(0) { $0 + $1.gauge.opened }
        snapshot.roundTripMicroseconds = roundTrip(
            configuration.name,
            lanes.compactMap(\.gauge.roundTrip).min()
        )
        snapshot.losses = dialer.losses
        snapshot.lanesDialed = dialer.dials
        snapshot.lastLoss = dialer.lastLoss
        return snapshot
    }

    /// Keeps what was shown until the measurement has moved by a quarter.
    private func roundTrip(_ name: LinkName, _ measured: UInt64?) -> UInt64? {
        guard let measured else {
            shownRoundTrips[name] = nil
            return nil
        }
        if let shown = shownRoundTrips[name], measured < shown + shown / 4,
            measured > shown - shown / 4
        {
            return shown
        }
        shownRoundTrips[name] = measured
        return measured
    }

    // MARK: Services

    private func service(_ key: ServicePort) -> ServiceSnapshot {
        let shared = sharedServices[key]
        let via = Dictionary(
            (routeTable.services[key] ?? []).map { ($0.site, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let targets = (shared?.states ?? [])
            .sorted { $0.target.precedes($1.target) }
            .map { state in
                let (condition, reason) = describe(state)
                return ServiceSnapshot.Target(
                    site: name(state.target.site),
                    pathCost: state.target.reach.cost,
                    endpoints: state.target.reach.endpoints,
                    connections: state.own + state.others,
                    state: condition,
                    reason: reason,
                    via: self.via(state.target.site, via[state.target.site])
                )
            }
        let error = listener(key).flatMap { known in
            listenerReports.failure { $0 == known.place }
        }
        var snapshot = ServiceSnapshot(
            service: key,
            listening: shared?.hasTarget == true && error == nil && !hasStoppedListening,
            targets: targets
        )
        snapshot.listenError = error
        let problems = core.isSidecar ? [] : services.problems(key)
        if !problems.isEmpty { snapshot.hostProblems = problems }
        return snapshot
    }

    private func listener(_ key: ServicePort) -> ClientListener? {
        guard let sidecar else { return services.listener(key, bind: core.options.bind) }
        return sidecar.clientListeners.first { $0.service == key }
    }

    private func describe(_ state: TargetState) -> (ServiceSnapshot.State, String?) {
        switch state.condition {
        case .usable where state.target.reach.isLastResort:
            (.draining, FailoverReason.draining.rawValue)
        case .usable: (.usable, nil)
        case .ejected(let reason, _), .doubtful(let reason): (.ejected, reason.rawValue)
        case .absent(.draining): (.draining, FailoverReason.draining.rawValue)
        case .absent(let reason): (.unreachable, reason.rawValue)
        }
    }

    /// How connections leave this site: `local`, over a Link of its own, or over one that another site dialed.
    private func via(_ site: SiteID, _ route: RouteTarget?) -> String {
        guard site != core.id.site else { return "local" }
        switch route?.via {
        case .link(core.id.site, let name)?: return "link/\(name)"
        case .link(let dialer, _)?: return "from/\(name(dialer).displayName)"
        case .mesh?, nil:
            // A sibling has the way: the site after it tells which Link that is.
            let next = route?.routes.first?.first { $0.site != core.id.site }?.site ?? site
            let link = document?.configuration.links.first { $0.remoteSites.contains(next) }
            return link.map { "link/\($0.name)" } ?? "from/\(name(next).displayName)"
        }
    }

    func name(_ site: SiteID) -> SiteName {
        if let sidecar { return SiteName(id: site, name: sidecar.routes.names[site] ?? "") }
        if site == core.id.site { return siteName }
        return SiteName(id: site, name: routeTable.siteNames[site] ?? "")
    }

    /// The names that sites give themselves; this one's as configured.
    var siteNames: [SiteID: String] {
        if let sidecar { return sidecar.routes.names }
        var names = routeTable.siteNames
        names[core.id.site] = siteName.name
        return names
    }

    // MARK: Counters and records

    func counters(_ shared: [ServicePort: SharedService]) -> [ServiceCounters] {
        shared.sorted { $0.key < $1.key }.compactMap { counters(of: $0.value) }
    }

    /// Nil when nothing was counted yet.
    private func counters(of service: SharedService) -> ServiceCounters? {
        let counters = service.counters
        return counters == ServiceCounters(service: counters.service) ? nil : counters
    }

    func snapshot(of record: FailoverRecord, at now: Instant) -> FailoverSnapshot {
        FailoverSnapshot(
            sequence: record.sequence,
            service: record.service,
            from: name(record.from),
            to: name(record.to),
            reason: record.reason.rawValue,
            time: (WallClock.time(of: record.at, at: now) * 10).rounded() / 10,
            lost: record.lost,
            resumed: record.resumed,
            durationMilliseconds: UInt64(clamping: record.duration.wholeNanoseconds / 1_000_000)
        )
    }
}

extension Target {
    /// The cheapest first, those without a path last.
    fileprivate func precedes(_ other: Target) -> Bool {
        switch (reach.cost, other.reach.cost) {
        case (let cost?, let least?) where cost != least: cost < least
        case (nil, _?): false
        case (_?, nil): true
        default: site < other.site
        }
    }
}
