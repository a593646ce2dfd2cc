import NetworkModel
import ProxyContract
import Routing
import Wire

// What the process tells: configurations, endpoints, credentials, drain.

extension GatewayControl {
    mutating func order(_ input: ControlInput, _ turn: inout Turn) {
        switch input {
        case .start:
            neighborhood.start(&turn)
            ports.listen(.inside, on: neighborhood.options.internalPort, &turn)
            pace.start(at: turn.now)
        case .configuration(let document, let addresses): apply(document, addresses, &turn)
        case .configurationFailed(let message):
            configurationError = message
            pace.changed(at: turn.now)
        // New lanes and later advertisements use these; lanes that exist stay.
        case .credentials(let chain, let key):
            renewLanes(to: chain, &turn)
            feed(.credentials(certificateChain: chain, agreementKey: key), &turn)
        case .endpoints(let name, let list): services.setEndpoints(name, list, at: turn.now)
        case .drain: beginDrain(&turn)
        case .stopListening: stopListening(&turn)
        case .stopStreams:
            refusesStreams = true
            views.publish(refusesStreams: true, &turn)
        case .stop: stop(&turn)
        default: break
        }
    }

    /// Applies a configuration if it is newer; touches only what differs.
    private mutating func apply(
        _ new: ConfigurationDocument,
        _ addresses: Set<IPAddress>,
        _ turn: inout Turn
    ) {
        guard document.map({ new.generation > $0.generation }) ?? true else { return }
        pace.changed(at: turn.now)
        guard new.configuration.site.id == own.site else {
            configurationError =
                "the configuration is for site \(new.configuration.site.id), the credentials are for"
                + " \(own.site)"
            return
        }
        let difference = ConfigurationDifference(from: document, to: new)
        readiness.settle(at: turn.now)
        if new.configuration.ownAddresses != configuration?.ownAddresses {
            ownAddresses.services = new.configuration.ownAddresses?.addresses ?? []
        }
        if new.configuration.memoryBudget != configuration?.memoryBudget {
            turn.outputs.append(.memoryBudget(new.configuration.memoryBudget))
        }
        let grants = new.configuration.grants ?? []
        if grants != configuration?.grants ?? [] { turn.outputs.append(.grants(grants)) }
        joins.configured(allow: new.configuration.allow, grants: grants)
        document = new
        configurationError = nil
        appliedCount += 1
        neighborhood.desk.siteName = SiteName(id: own.site, name: new.configuration.site.name)
        neighborhood.desk.health = new.configuration.health
        turn.outputs.append(.health(new.configuration.health))
        applyLinks(difference, new.configuration, &turn)
        applyServices(difference, addresses, &turn)
        boundCosts()
        if difference.routingChanged { configureRouting(&turn) }
        // Sidecars acknowledge every generation.
        sidecars.changed(
            [],
            names: difference.routingChanged ? [own.site] : [],
            isOtherConfiguration: true,
            at: turn.now
        )
    }

    private mutating func applyServices(
        _ difference: ConfigurationDifference,
        _ addresses: Set<IPAddress>,
        _ turn: inout Turn
    ) {
        ownAddresses.gateways = neighborhood.inside?.addresses ?? []
        let changed = services.configure(
            difference.services,
            own: ownAddresses.all,
            local: addresses,
            &turn
        )
        if !changed.new.isEmpty || !changed.gone.isEmpty { updateInterest(&turn) }
        services.refresh(changed.there, isRetimed: !changed.retimed.isEmpty, at: turn.now)
        heardLoads(changed.there.union(changed.gone), &turn)
        // Time limits and policies are theirs too.
        sidecars.changed(changed.there, at: turn.now)
        guard !changed.gone.isEmpty else { return }
        leaving.services.formUnion(changed.gone)
        leaving.ended.formUnion(difference.endedServices)
        leaving.view = nil
        publishRefreshed(&turn)
    }

    private mutating func applyLinks(
        _ difference: ConfigurationDifference,
        _ configuration: SiteConfiguration,
        _ turn: inout Turn
    ) {
        for name in difference.closed {
            for id in removeLink(name)?.lanes ?? [] { closeOutdated(id, &turn) }
        }
        for name in difference.renamed {
            guard var link = removeLink(name) else { continue }
            let left = link.left()
            for id in left.closing { closeOutdated(id, &turn) }
            replace(left.retiring, of: link.configuration, &turn)
        }
        for link in configuration.links { update(link, &turn) }
        for link in difference.dialed where !isDraining {
            links[link.name] = LinkDialer(link)
            withLink(link.name, &turn) { link, desk, turn in link.start(desk, &turn) }
        }
        if let accepts = difference.acceptsLinks {
            let isOpen = accepts && !hasStoppedListening
            ports.listen(.link, on: isOpen ? neighborhood.options.linkPort : nil, &turn)
        }
        closeDisallowed(difference.disallowed, &turn)
    }

    private mutating func removeLink(_ name: LinkName) -> LinkDialer? {
        linkAgenda.set(name, at: nil)
        shownRoundTrips[name] = nil
        return links.removeValue(forKey: name)
    }

    private func closeOutdated(_ id: LaneID, _ turn: inout Turn) {
        neighborhood.close(id, LaneClosing(.configurationChanged), &turn)
    }

    private mutating func replace(
        _ lanes: [LaneID],
        of link: LinkConfiguration,
        _ turn: inout Turn
    ) {
        guard !lanes.isEmpty else { return }
        drains.add(lanes, of: link, grace: drainParameters.grace, &turn)
        drains.lanesChanged(neighborhood.table, &turn)
        configureRouting(&turn)
    }

    /// Lanes that were dialed with other credentials give way to new ones; their streams move.
    private mutating func renewLanes(to chain: [[UInt8]], _ turn: inout Turn) {
        defer { certificateChain = chain }
        guard let certificateChain, certificateChain != chain else { return }
        for name in links.keys.sorted() {
            replaceLanes(of: name, Set(links[name]?.lanes ?? []), &turn)
        }
        // Those that others dialed are theirs to replace.
        for neighbor in neighborhood.table.neighbors(.remote) {
            for lane in neighborhood.table[neighbor]?.lanes ?? [] where !lane.isDialed {
                turn.outputs.append(.send(.renew, [], on: lane.id, loop: lane.loop))
            }
        }
    }

    /// Dials others in the place of those of the Link that are among `leaving`.
    mutating func replaceLanes(
        of name: LinkName,
        _ leaving: Set<LaneID>,
        _ turn: inout Turn
    ) {
        guard let link = links[name], !leaving.isDisjoint(with: link.lanes) else { return }
        var lanes: [LaneID] = []
        withLink(name, &turn) { link, desk, turn in
            lanes = link.replace(leaving, &desk, &turn)
        }
        replace(lanes, of: link.configuration, &turn)
    }

    private mutating func update(_ link: LinkConfiguration, _ turn: inout Turn) {
        guard links[link.name].map({ $0.configuration != link }) == true else { return }
        let table = neighborhood.table
        var changed = LinkDialer.Changed()
        withLink(link.name, &turn) { dialer, _, turn in
            changed = dialer.update(link, site: { table.owner(of: $0)?.site }, &turn)
        }
        for id in changed.closing { closeOutdated(id, &turn) }
        replace(changed.retiring, of: link, &turn)
        for id in changed.retimed {
            turn.outputs.append(.retime(id, neighborhood.desk.hello(for: link)))
        }
    }

    private mutating func closeDisallowed(_ sites: Set<SiteID>, _ turn: inout Turn) {
        guard !sites.isEmpty else { return }
        for neighbor in neighborhood.table.neighbors(.remote) where sites.contains(neighbor.site) {
            for lane in neighborhood.table[neighbor]?.lanes ?? [] where !lane.isDialed {
                let text = LinkFailure.notAllowed(SiteName(id: neighbor.site), remote: own.site)
                neighborhood.close(lane.id, LaneClosing(.notAllowed, text), &turn)
            }
        }
        // Their streams could also have come, or come back, over others.
        turn.outputs.append(.revoked(sites))
    }

    mutating func configureRouting(_ turn: inout Turn) {
        feed(
            .configure(
                RoutingConfiguration(
                    displayName: neighborhood.desk.siteName.name,
                    linkCosts: (configuration?.linkCosts ?? [:])
                        .merging(measuredCosts.compactMapValues(\.cost)) { $1 }
                        .merging(drains.costs) { configured, _ in configured },
                    serviceCosts: (configuration?.serviceCosts ?? [:])
                        .merging(drains.serviceCosts) { configured, _ in configured },
                    overload: isDraining
                )
            ),
            &turn
        )
    }

    // MARK: Drain

    /// Withdraws: no new streams from elsewhere, while clients are still accepted.
    private mutating func beginDrain(_ turn: inout Turn) {
        isDraining = true
        configureRouting(&turn)
        for kind in [AdjacencyTable.Kind.remote, .sibling, .sidecar] {
            for neighbor in neighborhood.table.neighbors(kind) {
                send(.goAway, [], to: neighbor, &turn)
            }
        }
        shown.markAll()
        pace.changed(at: turn.now)
    }

    /// Closes every listener; what is open goes on, and who has a lane but no other gateway yet is still served.
    private mutating func stopListening(_ turn: inout Turn) {
        hasStoppedListening = true
        turn.outputs.append(.listenForClients([]))
        ports.listen(.inside, on: nil, &turn)
        ports.listen(.link, on: nil, &turn)
        shown.markAll()
        pace.changed(at: turn.now)
    }

    private mutating func stop(_ turn: inout Turn) {
        // Nobody may take what this gateway said for the word of one that lives.
        feed(.withdraw, &turn)
        neighborhood.stop()
        for name in links.keys.sorted() {
            for id in removeLink(name)?.lanes ?? [] { closeOutdated(id, &turn) }
        }
    }
}
