package import NetworkModel
package import ProxyContract
import Routing

// The snapshot: what this gateway observes, as the controller and people read it.

extension GatewayControl {
    private static let snapshotStep = 64

    /// Asks for figures, or looks at a few services; publishes once all that changed were looked at.
    mutating func stepSnapshot(_ turn: inout Turn) {
        switch pace.handleDeadline(turn.now) {
        case .nothing: break
        case .measure: turn.outputs.append(.measure)
        case .build:
            shown.begin(services.known, in: shownContext, at: turn.now)
            let isWhole = lookAtServices(Self.snapshotStep, turn)
            if isWhole { turn.outputs.append(.snapshot(makeSnapshot(turn))) }
            pace.built(isWhole, at: turn.now)
        }
    }

    /// What is known now of everything.
    package mutating func wholeSnapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot {
        shown.markAll()
        return snapshot(at: now, wall: wall)
    }

    /// As `wholeSnapshot`, with only the services looked at of which something was said.
    package mutating func snapshot(at now: Instant, wall: Timestamp) -> ProxySnapshot {
        let turn = Turn(now: now, wall: wall)
        shown.begin(services.known, in: shownContext, at: now)
        _ = lookAtServices(.max, turn)
        return makeSnapshot(turn)
    }

    private var shownContext: ShownServices.Context {
        ShownServices.Context(names: siteNames, links: configuration?.links ?? [])
    }

    /// True when none is left.
    private mutating func lookAtServices(_ limit: Int, _ turn: Turn) -> Bool {
        // Taken out, so that its lists are changed where they are.
        var shown = ShownServices()
        swap(&shown, &self.shown)
        let isWhole = shown.advance(limit) { key in
            let isShown = services.configuration(key) != nil
            return (isShown ? service(key, turn) : nil, services.reports[key]?.shownCounters)
        }
        self.shown = shown
        return isWhole
    }

    private mutating func makeSnapshot(_ turn: Turn) -> ProxySnapshot {
        var snapshot = ProxySnapshot(proxy: own)
        snapshot.appliedGeneration = document?.generation ?? 0
        snapshot.appliedCount = appliedCount
        snapshot.configurationError = configurationError
        snapshot.refusedAdvertisements = refusedAdvertisements
        snapshot.linkPortError = ports.failure(.link)
        if !shortages.isEmpty { snapshot.shortages = shortages.map(\.explanation) }
        snapshot.links = links.keys.sorted().compactMap { name in links[name].map { link($0) } }
        snapshot.refused = refusals.links
        if !joins.waiting.isEmpty { snapshot.claims = joins.waiting }
        snapshot.services = shown.services
        snapshot.counters = shown.counters
        snapshot.failovers = failovers.records.map { $0.snapshot(name: name, turn) }
        snapshot.sidecars = sidecars.snapshots { $0.snapshot(name: name, turn) }
        return snapshot
    }

    // MARK: Links

    private mutating func link(_ dialer: LinkDialer) -> LinkSnapshot {
        let configuration = dialer.configuration
        let isConnected = dialer.isConnected || dialer.isRenewing
        var snapshot = LinkSnapshot(
            name: configuration.name,
            reason: isConnected ? .connected : dialer.failure?.reason ?? .connecting,
            message: isConnected ? "" : dialer.failure?.message ?? "",
            cost: measuredCosts[configuration.name]?.cost ?? configuration.cost
        )
        snapshot.serviceCosts = configuration.serviceCosts
        if dialer.isLeavingEndpoints, !dialer.isRenewing {
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
        let figures = dialer.lanes.compactMap { neighborhood.table.figures(of: $0) }
        snapshot.active = figures.reduce(0) { $0 + $1.active }
        snapshot.opened = dialer.openedBefore + figures.reduce(0) { $0 + $1.opened }
        snapshot.roundTripMicroseconds = roundTrip(
            configuration.name,
            figures.compactMap(\.roundTrip).min()
        )
        snapshot.losses = dialer.losses
        snapshot.lanesDialed = dialer.dials
        snapshot.lastLoss = dialer.lastLoss
        return snapshot
    }

    /// Keeps what was shown until the measurement has moved by a quarter.
    private mutating func roundTrip(_ name: LinkName, _ measured: UInt64?) -> UInt64? {
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

    private func service(_ key: ServicePort, _ turn: Turn) -> ServiceSnapshot {
        let report = services.reports[key]
        let routes = Dictionary(
            (routing.table.services[key] ?? []).map { ($0.site, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let targets = report?.shownTargets(name: name) { via($0, routes[$0]) } ?? []
        let error = services.listener(key).flatMap { known in
            places.failure { $0 == known.place }
        }
        var snapshot = ServiceSnapshot(
            service: key,
            listening: report?.hasTarget == true && error == nil && !hasStoppedListening,
            targets: targets
        )
        snapshot.listenError = error
        let problems = services.problems(key, turn)
        if !problems.isEmpty { snapshot.hostProblems = problems }
        return snapshot
    }

    /// How connections leave this site: `local`, over a Link of its own, or over one that another site dialed.
    private func via(_ site: SiteID, _ route: RouteTarget?) -> String {
        guard site != own.site else { return "local" }
        switch route?.via {
        case .link(own.site, let name)?: return "link/\(name)"
        case .link(let dialer, _)?: return "from/\(name(dialer).displayName)"
        case .mesh?, nil:
            // A sibling has the way: the site after it tells which Link that is.
            let next = route?.routes.first?.first { $0.site != own.site }?.site ?? site
            let link = configuration?.links.first { $0.remoteSites.contains(next) }
            return link.map { "link/\($0.name)" } ?? "from/\(name(next).displayName)"
        }
    }

    private func name(_ site: SiteID) -> SiteName {
        if site == own.site { return neighborhood.desk.siteName }
        return SiteName(id: site, name: routing.table.siteNames[site] ?? "")
    }

    /// The names that sites give themselves; this one's as configured.
    var siteNames: [SiteID: String] {
        var names = routing.table.siteNames
        names[own.site] = neighborhood.desk.siteName.name
        return names
    }
}
