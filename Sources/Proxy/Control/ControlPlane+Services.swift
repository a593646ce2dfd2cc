import Balancing
import NetworkModel
import Routing

// Services: what routes, servers and connections change about them.

extension ControlPlane {
    /// Changes of counts are taken at once after quiet, then at most this often: as siblings and edges hear of them.
    private static let changeInterval: Duration = .milliseconds(50)

    func makeService(_ key: ServicePort) -> SharedService {
        let (core, changes) = (core, changes)
        return SharedService(service: key) {
            if changes.insert(key) { core.tellControl { $0.servicesChanged() } }
        }
    }

    var sharedServices: [ServicePort: SharedService] { edge?.shared ?? services.shared }

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
        for key in changes.take() {
            guard let service = sharedServices[key] else { continue }
            own[key] = service.ownCounts
            failovers.append(service.takeRecords())
            if !core.isEdge { services.doubtHosts(of: key) }
        }
        counts.ownChanged(own)
        snapshotChanged()
    }

    func setEndpoints(_ name: String, _ endpoints: [LocalEndpoint]) {
        services.setEndpoints(name, endpoints)
        // After a start, and when a node goes, they come by the dozen: what follows is worked out once.
        guard !isRefreshScheduled else { return }
        isRefreshScheduled = true
        loop.schedule(after: .zero) { [weak self] _ in self?.refreshServices() }
    }

    /// Local servers, their names, or the configuration changed.
    func refreshServices() {
        isRefreshScheduled = false
        let advertised = services.refresh(routeTable, at: loop.now)
        routing?.feed(.services(advertised))
        edges.changed()
        publish()
    }

    func routesChanged(_ table: RouteTable) {
        keyRing = KeyRing(keys.keys(for: table))
        _ = services.refresh(table, at: loop.now)
        edges.changed()
        publish()
    }

    func hostResolved(_ name: String, _ result: Result<[IPAddress], ResolverError>) {
        if services.hostResolved(name, result) { refreshServices() }
    }

    /// A loop could not open a listener for clients, or can now.
    func tried(_ listener: ClientListener, onLoop index: Int, _ failure: String?) {
        if let news = listenerReports.take(listener, loop: index, failure) {
            log("cannot listen for \(listener.service) on port \(listener.port): \(news)")
        }
        snapshotChanged()
    }
}
