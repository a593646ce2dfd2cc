package import NetworkModel

// What is known of the servers, and how it is found out without a client.
extension EndpointBalancer {
    /// Servers that take connections, as far as is known: what weight, advertisement and status say.
    package var usableCount: UInt32 { UInt32(clamping: slots.count { $0.isUsable }) }

    /// Servers that a connection may try, one after the other.
    package var candidateCount: Int { slots.count { $0.isPresent && !$0.leadsToItself } }

    /// Servers that are in doubt: some are, or all.
    package var hasDoubt: Bool { slots.contains { $0.isDoubtful } }

    /// Servers to which connections come back.
    package var ownServers: [Endpoint] {
        slots.filter { $0.isPresent && $0.leadsToItself }.map(\.id)
    }

    /// This site as a target, at no cost.
    package func target(at site: SiteID) -> Target {
        let usable = usableCount
        if usable > 0 { return Target(site: site, reach: .usable(cost: .zero, endpoints: usable)) }
        let terminating = slots.count { !$0.server.isReady && $0.server.isServing }
        if terminating > 0 {
            let endpoints = UInt32(clamping: terminating)
            return Target(site: site, reach: .lastResort(cost: .zero, endpoints: endpoints))
        }
        let doubtful = slots.filter(\.isDoubtful)
        guard let first = doubtful.first else {
            return Target(site: site, reach: .absent(.noEndpoints))
        }
        return Target(
            site: site,
            reach: .lastResort(
                cost: .zero,
                endpoints: UInt32(clamping: doubtful.count),
                doubt: first.ejection?.reason.failover
            )
        )
    }

    /// How one server stands, for people.
    package struct Standing: Sendable {
        package let server: Endpoint
        package let isReady: Bool
        package let isServing: Bool
        /// Why it is left out although it is listed.
        package let fault: ServerFault?
        package let open: UInt64
    }

    package var standings: [Standing] {
        slots.map { slot in
            Standing(
                server: slot.address,
                isReady: slot.server.isReady,
                isServing: slot.server.isServing,
                fault: slot.ejection?.reason,
                open: slot.open
            )
        }
    }

    // MARK: Probes

    /// When a server has to be probed next; nil while none is left out.
    package func nextProbe(at now: Instant) -> Instant? {
        let isUrgent = usableCount == 0
        return slots.compactMap { $0.nextProbe(isUrgent: isUrgent, at: now) }.min()
    }

    /// A server to probe, and why it is left out.
    package typealias Probe = (server: ServerPick, fault: ServerFault)

    /// The servers to probe now; each ends with exactly one of `probeSucceeded`, `probeFailed` and `probeAbandoned`.
    ///
    /// A probe counts as no connection.
    package mutating func takeProbes(at now: Instant) -> [Probe] {
        let isUrgent = usableCount == 0
        var probes: [Probe] = []
        for index in slots.indices {
            guard let due = slots[index].nextProbe(isUrgent: isUrgent, at: now), due <= now,
                let fault = slots[index].ejection?.reason
            else { continue }
            picks += 1
            slots[index].ejection?.startProbe(picks, at: now)
            probes.append((ServerPick(slots[index].place, number: picks), fault))
        }
        return probes
    }

    package mutating func probeSucceeded(_ probe: ServerPick, at now: Instant) {
        guard let index = index(of: probe), slots[index].ejection?.probe == probe.number
        else { return }
        slots[index].succeed(at: probe.endpoint, isProbe: true, at: now)
    }

    package mutating func probeFailed(_ probe: ServerPick, _ fault: ServerFault, at now: Instant) {
        guard let index = index(of: probe), slots[index].ejection?.probe == probe.number
        else { return }
        slots[index].fail(probe.number, fault, of: probe.endpoint, at: now)
    }

    /// This host was short of something: no word about the server.
    package mutating func probeAbandoned(_ probe: ServerPick) {
        guard let index = index(of: probe) else { return }
        slots[index].ejection?.abandonProbe(probe.number)
    }

    /// A connection to this server came back to this proxy.
    package mutating func condemn(_ server: Endpoint, at now: Instant) {
        guard let index = slots.firstIndex(where: { $0.id == server }) else { return }
        slots[index].condemn(at: now)
    }
}
