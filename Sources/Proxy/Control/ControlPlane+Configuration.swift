import NetworkModel
import Routing
import SiteConfiguration
import SiteControl
import TLS
import Wire

// What the process tells: configurations, endpoints, credentials, drain.

extension ControlPlane {
    /// Applies a configuration if it is newer; touches only what differs.
    func apply(_ new: ConfigurationDocument) {
        guard routing != nil, document.map({ new.generation > $0.generation }) ?? true else {
            return
        }
        guard new.configuration.site.id == core.id.site else {
            configurationError =
                "the configuration is for site \(new.configuration.site.id), the credentials are for"
                + " \(core.id.site)"
            snapshotChanged()
            return
        }
        let difference = ConfigurationDifference(from: document, to: new)
        if document == nil { settle() }
        document = new
        configurationError = nil
        appliedCount += 1
        core.setHealth(new.configuration.health)
        applyLinks(difference, new.configuration)
        let changed = services.configure(difference.services)
        if !changed.new.isEmpty || !changed.gone.isEmpty { updateInterest() }
        if difference.routingChanged { configureRouting() }
        // Sidecars acknowledge every generation.
        sidecars.changed([], names: difference.routingChanged ? [core.id.site] : [])
        if changed.there.isEmpty, changed.gone.isEmpty {
            updateReadiness()
        } else {
            refreshServices(changed.there, retimed: changed.retimed)
            let ended = difference.endedServices
            // Clients come under the old name of a port until every loop knows the new one.
            if !changed.gone.isEmpty {
                afterLoops { $0.takeAway(changed.gone, resetting: ended) }
            }
        }
        snapshotChanged()
    }

    /// Runs `body` once every loop has done what it was told before.
    private func afterLoops(
        from index: Int = 0,
        _ body: @escaping @Sendable (ControlPlane) -> Void
    ) {
        guard index < core.loops else { return body(self) }
        let core = core
        core.tellAgent(index) { _ in
            core.tellControl { $0.afterLoops(from: index + 1, body) }
        }
    }

    private func takeAway(_ gone: Set<ServicePort>, resetting ended: Set<ServicePort>) {
        refreshServices(gone.filter { services.configuration($0) == nil })
        let ended = ended.filter { services.configuration($0) == nil }
        if !ended.isEmpty { core.tellAgents { $0.engine.reset(ended) } }
    }

    private func applyLinks(
        _ difference: ConfigurationDifference,
        _ configuration: SiteConfiguration
    ) {
        for name in difference.closed { links.removeValue(forKey: name)?.stop() }
        for name in difference.renamed { links.removeValue(forKey: name)?.leave() }
        for link in configuration.links { links[link.name]?.update(link) }
        for link in difference.dialed where !isDraining {
            let dialer = LinkDialer(link, control: self)
            links[link.name] = dialer
            dialer.start()
        }
        if let accepts = difference.acceptsLinks {
            lanePorts.listen(
                .link,
                on: accepts && !hasStoppedListening ? core.options.linkPort : nil
            )
        }
        for neighbor in adjacencies.neighbors(.remote)
        where difference.disallowed.contains(neighbor.site) {
            for lane in adjacencies[neighbor]?.lanes ?? [] where !lane.isDialed {
                let text = LinkFailure.notAllowed(SiteName(id: neighbor.site), remote: core.id.site)
                closeLane(lane.id, LaneClosing(.notAllowed, text))
            }
        }
    }

    func configureRouting() {
        routing?.feed(
            .configure(
                RoutingConfiguration(
                    displayName: siteName.name,
                    linkCosts: (document?.configuration.linkCosts ?? [:])
                        .merging(drains.costs) { configured, _ in configured },
                    overload: isDraining
                )
            )
        )
    }

    func reportConfigurationError(_ message: String) {
        configurationError = message
        snapshotChanged()
    }

    /// New lanes and later LSAs use these; lanes that exist stay.
    func credentialsChanged(_ context: TLSContext) {
        routing?.feed(
            .credentials(
                certificateChain: context.credentials.chain,
                agreementKey: keys.publicKey
            )
        )
    }

    // MARK: Drain

    /// Withdraws: no new streams from elsewhere, while clients are still accepted.
    func beginDrain() -> DrainParameters {
        isDraining = true
        configureRouting()
        for kind in [AdjacencyTable.Kind.remote, .sibling, .sidecar, .home] {
            for neighbor in adjacencies.neighbors(kind) { send(.goAway, [], to: neighbor) }
        }
        publish()
        return document?.configuration.drain ?? .standard
    }

    /// Closes every listener; what is open goes on, and who has a lane but no other gateway yet is still served.
    func stopListening() {
        hasStoppedListening = true
        core.tellAgents { $0.setClientListeners([]) }
        lanePorts.listen(.inside, on: nil)
        lanePorts.listen(.link, on: nil)
    }

    /// Refuses streams from elsewhere: the last step before the end.
    func stopStreams() {
        refusesStreams = true
        publish()
    }

    func shutDown() {
        // Nobody may take what this gateway said for the word of one that lives.
        routing?.feed(.withdraw)
        inside?.stop()
        for link in links.values { link.stop() }
        links = [:]
    }
}
