import Balancing
import NetworkModel
import Routing
import SiteControl

// Services: what routes, servers and connections change about them.

extension ControlPlane {
    /// Changes of counts are taken at once after quiet, then at most this often: as siblings and sidecars hear of them.
    private static let changeInterval: Duration = .milliseconds(50)

    func makeService(_ key: ServicePort) -> SharedService {
        let (core, changes) = (core, changes)
        return SharedService(service: key, sockets: core.plane.ownSockets) {
            if changes.insert(key) { core.tellControl { $0.servicesChanged() } }
        }
    }

    var sharedServices: [ServicePort: SharedService] { sidecar?.shared ?? services.shared }

    private func servicesChanged() {
        let earliest = lastChanges + Self.changeInterval
        if earliest <= loop.now {
            takeChanges()
        } else {
            loop.schedule(at: earliest) { [weak self] _ in self?.takeChanges() }
        }
    }

    private func takeChanges() {
        lastChanges = loop.now
        var own: [ServicePort: [SiteID: UInt64]] = [:]
        let changed = changes.take()
        for key in changed {
            guard let service = sharedServices[key] else { continue }
            own[key] = service.ownCounts
            failovers.append(service.takeRecords())
            guard !core.isSidecar else { continue }
            services.doubtHosts(of: key)
            if services.isAbandoned(key) { refreshSoon([key]) }
        }
        counts.ownChanged(own)
        if !core.isSidecar { refreshSoon(services.recount(changed)) }
        snapshotChanged(changed)
    }

    func setEndpoints(_ name: String, _ endpoints: [LocalEndpoint]) {
        services.setEndpoints(name, endpoints)
        refreshSoon(services.ports(of: name))
    }

    /// After a start, and when a node goes, changes come by the dozen: what follows is worked out once.
    private func refreshSoon(_ keys: Set<ServicePort>) {
        guard !keys.isEmpty else { return }
        let isScheduled = !staleServices.isEmpty
        staleServices.formUnion(keys)
        guard !isScheduled else { return }
        loop.schedule(after: .zero) { [weak self] _ in
            guard let self else { return }
            let keys = staleServices
            staleServices = []
            refreshServices(keys)
        }
    }

    /// Local servers or the configuration of some service ports changed; `retimed`: loops have to know other time limits of them.
    func refreshServices(_ keys: Set<ServicePort>, retimed: Set<ServicePort> = []) {
        var refreshed = services.refresh(keys, routeTable, at: loop.now)
        refreshed.entries.formUnion(retimed)
        sidecars.changed(keys)
        shown.mark(keys)
        publish(refreshed)
    }

    func routesChanged(_ table: RouteTable, _ changes: RouteChanges) {
        if changes.gateways {
            let ring = KeyRing(keys.keys(for: table) { [loop] in loop.breathe() })
            if ring != keyRing {
                keyRing = ring
                publishView()
            }
        }
        let refreshed = services.refresh(changes.services, table, at: loop.now)
        sidecars.changed(changes.services, names: changes.names)
        shown.mark(changes.services)
        publish(refreshed)
    }

    /// Tells routing what somebody here uses of what others advertise.
    func updateInterest() {
        var interest = sidecars.wants
        interest.services.formUnion(services.ports)
        routing?.feed(.interest(interest))
    }

    func hostResolved(_ name: String, _ answer: Answer) {
        if services.hostResolved(name, answer) { refreshServices(services.ports(ofHost: name)) }
    }

    /// A loop could not open a listener for clients, or can now.
    func tried(_ place: ListenPlace, onLoop index: Int, _ failure: String?) {
        let before = listenerReports.failure { $0 == place }
        if let news = listenerReports.take(place, loop: index, failure) {
            log("cannot listen for clients on port \(place.port): \(news)")
        }
        if listenerReports.failure(where: { $0 == place }) != before { shown.markAll() }
        snapshotChanged()
    }
}
