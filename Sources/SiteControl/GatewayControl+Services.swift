import Balancing
import NetworkModel
import ProxyContract
import Routing
import Wire

// Services: what routes, servers and connections change about them, and what sidecars are told of it.

extension GatewayControl {
    /// Joins what is stale into a few balancers.
    mutating func stepServices(_ turn: inout Turn) {
        guard let deadline = services.nextDeadline, deadline <= turn.now else { return }
        for key in services.step(routing.table.services, &turn) {
            let others = counts.others(key)
            if !others.isEmpty { turn.outputs.append(.setOthers(key, others)) }
            let elsewhere = counts.elsewhere(key)
            if !elsewhere.isEmpty { turn.outputs.append(.setElsewhere(key, elsewhere)) }
        }
        publishRefreshed(&turn)
    }

    /// How some services stand.
    mutating func take(_ reports: [ServiceReport], _ turn: inout Turn) {
        for report in reports {
            let key = report.service
            let isRouted = routing.table.services[key] != nil
            let isNews = services.take(report, isRouted: isRouted, &turn)
            counts.setOwn(key, report.ownCounts, at: turn.now)
            failovers.append(report.records)
            if isNews || !services.known.contains(key) {
                sidecars.changed([key], at: turn.now)
            }
        }
        shown.mark(Set(reports.map(\.service)))
        pace.changed(at: turn.now)
        if services.takeLoadChange() { feed(.loads(services.loads), &turn) }
        publishRefreshed(&turn)
    }

    /// Gives the loops, routing and clients what has changed, once all of it is known.
    mutating func publishRefreshed(_ turn: inout Turn) {
        let refreshed = services.takeRefreshed()
        let listeners = refreshed?.listeners == true ? wantedListeners() : nil
        if refreshed?.view == true {
            views.publish(refusesStreams: refusesStreams, listeners: listeners, &turn)
        } else if let listeners {
            turn.outputs.append(.listenForClients(listeners))
        }
        if refreshed?.advertised == true { advertise(&turn) }
        if !leaving.isEmpty, leaving.view == nil, services.isSettled {
            leaving.view = views.publish(refusesStreams: refusesStreams, &turn)
        }
        if refreshed != nil { pace.changed(at: turn.now) }
    }

    /// Where to listen for clients from now on; nil once this gateway listens for nobody.
    private mutating func wantedListeners() -> [ClientListener]? {
        guard !hasStoppedListening else { return nil }
        let listeners = services.listeners
        // What is not wanted any more cannot fail any more.
        places.keep(listeners.map(\.place))
        return listeners
    }

    /// Tells others what is offered here, once every loop knows of it: a loop that stood still meanwhile would refuse what others
    /// send at once.
    private mutating func advertise(_ turn: inout Turn) {
        guard views.areSeen else {
            owesAdvertisement = true
            return
        }
        owesAdvertisement = false
        feed(.services(services.advertised), &turn)
    }

    /// Every loop knows a view, and all before it.
    mutating func saw(_ view: UInt64, _ turn: inout Turn) {
        views.saw(view)
        if owesAdvertisement { advertise(&turn) }
        guard let awaited = leaving.view, views.wereSeen(awaited) else { return }
        let gone = leaving.services.filter { services.configuration($0) == nil }
        let ended = leaving.ended.filter { services.configuration($0) == nil }
        leaving = Leaving()
        services.refresh(gone, at: turn.now)
        if !ended.isEmpty { turn.outputs.append(.reset(ended.sorted())) }
    }

    /// Others have other counts of these services.
    mutating func setOthers(_ changed: Set<ServicePort>, _ turn: inout Turn) {
        for key in changed.sorted() where services.known.contains(key) {
            turn.outputs.append(.setOthers(key, counts.others(key)))
        }
    }

    /// A loop could not open a listener for clients, or can now.
    mutating func tried(
        _ place: ListenPlace,
        loop: Int,
        _ failure: String?,
        _ turn: inout Turn
    ) {
        let before = places.failure { $0 == place }
        if let news = places.take(place, loop: loop, failure) {
            turn.log("cannot listen for clients on port \(place.port): \(news)")
        }
        if places.failure(where: { $0 == place }) != before { shown.markAll() }
        pace.changed(at: turn.now)
    }

    mutating func resolved(_ question: Question, _ answer: Answer, _ turn: inout Turn) {
        switch question {
        case .link(let name, let attempt, let host):
            withLink(name, &turn) { link, desk, turn in
                link.resolved(attempt, host, answer, &desk, &turn)
            }
        case .inside: neighborhood.resolvedInside(answer, &turn)
        case .server(let host):
            guard services.resolved(host, answer, &turn) else { return }
            shown.markAll()
            pace.changed(at: turn.now)
        }
    }

    // MARK: Sidecars

    mutating func stepSidecars(_ turn: inout Turn) {
        guard let deadline = sidecars.nextDeadline, deadline <= turn.now else { return }
        let (services, routing, own, names) = (services, routing, own.site, siteNames)
        let source = SidecarServer.Source(
            service: { key in
                guard let report = services.reports[key] else { return nil }
                let told = SidecarService(
                    report,
                    services.timeouts(key),
                    routes: routing.table.services[key] ?? [],
                    own: own
                )
                let sites = told.targets.map(\.target.site)
                let policy = SidecarPolicy(services.policy(key), of: key, for: sites)
                return SidecarServer.ToldService(
                    service: told,
                    policy: policy,
                    isEarly: services.isEarly(key)
                )
            },
            names: { names },
            configuration: document?.generation ?? 0
        )
        sidecars.step(source, over: neighborhood.table, &turn)
    }
}

extension SidecarService {
    /// What sidecars are told of a service port.
    fileprivate init(
        _ report: ServiceReport,
        _ timeouts: ServiceTimeouts,
        routes: [RouteTarget],
        own: SiteID
    ) {
        let ways = Dictionary(routes.map { ($0.site, $0.routes) }) { first, _ in first }
        self.init(
            service: report.service,
            timeouts: timeouts,
            targets: report.targets.map { target in
                SidecarTarget(target, within: target.site == own ? [[]] : ways[target.site] ?? [])
            }
        )
    }
}
