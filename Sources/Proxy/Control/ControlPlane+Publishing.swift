import Balancing
import NetworkModel
import Routing

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
        if refreshed.advertised { routing?.feed(.services(services.advertised)) }
        if !refreshed.entries.isEmpty {
            for key in refreshed.entries { serviceEntries[key] = entry(of: key) }
            publishView()
        }
        if refreshed.listeners { publishListeners() }
        updateReadiness()
        snapshotChanged()
    }

    func publishView() {
        let view = DataPlaneView(
            proxy: core.id,
            isEdge: core.isEdge,
            services: serviceEntries,
            keys: keyRing,
            // Whoever has not heard of the drain yet is still served.
            isDraining: hasStoppedListening
        )
        core.tellAgents { $0.engine.update(view) }
    }

    private func publishListeners() {
        guard !hasStoppedListening else { return }
        let listeners =
            edge?.clientListeners ?? services.listeners(bind: core.options.bind)
        // What is not wanted any more cannot fail any more.
        listenerReports.keep(listeners.map(\.place))
        core.tellAgents { $0.setClientListeners(listeners) }
    }

    private func entry(of key: ServicePort) -> ServiceEntry? {
        guard let shared = sharedServices[key] else { return nil }
        let timeouts = edge?.routes.timeouts(key) ?? services.timeouts(key)
        return ServiceEntry(shared: shared, timeouts: timeouts)
    }
}
