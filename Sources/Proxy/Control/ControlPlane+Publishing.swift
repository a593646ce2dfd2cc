import Balancing
import NetworkModel
import Routing

// What the loops get to carry streams with.

extension ControlPlane {
    /// Gives every loop all that it needs for streams, and opens and closes client listeners.
    func publish() {
        shown.markAll()
        publish(ServiceTable.Refreshed(entries: true, listeners: true))
    }

    /// Gives the loops what a refresh of some services has changed; targets and ways they read from the services.
    func publish(_ refreshed: ServiceTable.Refreshed) {
        if refreshed.entries {
            serviceEntries = makeEntries()
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

    private func makeEntries() -> [ServicePort: ServiceEntry] {
        var entries: [ServicePort: ServiceEntry] = [:]
        for (key, shared) in sharedServices {
            let timeouts = edge?.routes.timeouts(key) ?? services.timeouts(key)
            entries[key] = ServiceEntry(shared: shared, timeouts: timeouts)
        }
        return entries
    }
}
