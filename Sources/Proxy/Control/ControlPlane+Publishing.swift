import Balancing
import NetworkModel
import Routing
import SiteControl
import Synchronization

// What the loops get to carry streams with.

extension ControlPlane {
    /// Gives every loop all that it needs for streams, and opens and closes client listeners.
    func publish() {
        shown.markAll()
        serviceEntries = [:]
        publish(
            ServiceTable.Refreshed(entries: Set(sharedServices.keys), listeners: true)
        )
        if sharedServices.isEmpty { publishView() }
    }

    /// Gives the loops what a refresh of some services has changed; targets and ways they read from the services.
    func publish(_ refreshed: ServiceTable.Refreshed) {
        if !refreshed.entries.isEmpty {
            for key in refreshed.entries { serviceEntries[key] = entry(of: key) }
            publishView()
        }
        if refreshed.advertised { advertise() }
        if refreshed.listeners { publishListeners() }
        updateReadiness()
        snapshotChanged()
    }

    func publishView() {
        let view = DataPlaneView(
            proxy: core.id,
            isSidecar: core.isSidecar,
            services: serviceEntries,
            keys: keyRing,
            // Whoever has not heard of the drain yet is still served.
            isDraining: refusesStreams
        )
        unseenViews += 1
        let rest = Atomic(core.loops)
        let core = core
        core.tellAgents { agent in
            agent.engine.update(view)
            guard rest.wrappingSubtract(1, ordering: .relaxed).newValue == 0 else { return }
            core.tellControl { $0.viewWasSeen() }
        }
    }

    /// Every loop knows a view that was published.
    private func viewWasSeen() {
        unseenViews -= 1
        guard unseenViews == 0, owesAdvertisement else { return }
        owesAdvertisement = false
        advertise()
    }

    /// Tells others what is offered here, once every loop knows of it: a loop that stood still meanwhile would refuse what others
    /// send at once.
    private func advertise() {
        guard unseenViews == 0 else {
            owesAdvertisement = true
            return
        }
        routing?.feed(.services(services.advertised))
    }

    private func publishListeners() {
        guard !hasStoppedListening else { return }
        let listeners =
            sidecar?.clientListeners ?? services.listeners(bind: core.options.bind)
        // What is not wanted any more cannot fail any more.
        listenerReports.keep(listeners.map(\.place))
        core.tellAgents { $0.setClientListeners(listeners) }
    }

    private func entry(of key: ServicePort) -> ServiceEntry? {
        guard let shared = sharedServices[key] else { return nil }
        let timeouts = sidecar?.routes.timeouts(key) ?? services.timeouts(key)
        return ServiceEntry(shared: shared, timeouts: timeouts)
    }
}
