import Balancing
import NetworkModel
import Routing

// What the loops get to carry streams with.

extension ControlPlane {
    /// Gives every loop what it needs for streams, and opens and closes client listeners.
    func publish() {
        let view = DataPlaneView(
            proxy: core.id,
            isEdge: core.isEdge,
            services: serviceEntries,
            routes: routesBySite,
            keys: keyRing,
            // Whoever has not heard of the drain yet is still served.
            isDraining: hasStoppedListening
        )
        core.tellAgents { $0.engine.update(view) }
        publishListeners()
        updateReadiness()
        snapshotChanged()
    }

    private func publishListeners() {
        guard !hasStoppedListening else { return }
        let listeners =
            edge?.clientListeners ?? services.listeners(bind: core.options.bind)
        // What is not wanted any more cannot fail any more.
        listenerReports.keep(listeners)
        core.tellAgents { $0.setClientListeners(listeners) }
    }

    private var serviceEntries: [ServicePort: ServiceEntry] {
        var entries: [ServicePort: ServiceEntry] = [:]
        for (key, shared) in sharedServices {
            let timeouts = edge?.routes.timeouts(key) ?? services.timeouts(key)
            entries[key] = ServiceEntry(shared: shared, timeouts: timeouts)
        }
        return entries
    }

    private var routesBySite: [ServicePort: [SiteID: [[ProxyID]]]] {
        var routes: [ServicePort: [SiteID: [[ProxyID]]]] = [:]
        if let edge {
            for key in edge.shared.keys {
                for joined in edge.routes.targets(key) {
                    routes[key, default: [:]][joined.target.site] = joined.routes
                }
            }
        } else {
            for (key, targets) in routeTable.services {
                for target in targets where !target.routes.isEmpty {
                    routes[key, default: [:]][target.site] = target.routes
                }
            }
        }
        return routes
    }
}
