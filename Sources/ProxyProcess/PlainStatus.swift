import KubernetesAPI
import NetworkAPI
import NetworkModel
import SiteConfiguration

/// Makes the statuses of a plain site's objects out of what its one proxy observes.
///
/// Pure. The form is the API's. Counters go on from what was written before this proxy started (`before`).
struct PlainStatus {
    let state: SiteApplier.State
    let snapshot: ProxySnapshot
    let isReady: Bool
    let siteID: SiteID
    let now: Timestamp

    /// Whether the proxy works with the files as they are.
    private var isApplied: Bool { snapshot.appliedGeneration == state.generation }

    func link(_ link: Link, last: LinkStatus, before: LinkStatus) -> LinkStatus {
        var status = last
        let seen = snapshot.links.first { $0.name.text == link.metadata.name }
        var conditions = Conditions(last.conditions, now)
        conditions.set(.accepted, true, .accepted)
        conditions.set(
            .connected,
            seen?.reason == .connected,
            seen.flatMap { Reason(rawValue: $0.reason.rawValue) } ?? .connecting,
            seen.map { $0.reason == .connected ? "" : $0.message } ?? ""
        )
        status.conditions = conditions.summarised([.accepted, .connected])
        guard let seen else { return status }
        if let remote = seen.remote {
            status.remoteSite = LinkStatus.RemoteSite(
                id: remote.id,
                name: remote.name.isEmpty ? nil : remote.name
            )
        }
        if isApplied { status.appliedCost = seen.cost }
        status.connections = ConnectionCounts(
            active: Int64(clamping: seen.active),
            opened: (before.connections?.opened ?? 0) + Int64(clamping: seen.opened)
        )
        status.roundTripTime = seen.roundTripMicroseconds.map {
            Self.bucket($0, shown: last.roundTripTime)
        }
        status.failovers = (before.failovers ?? 0) + Int64(clamping: seen.losses)
        if let loss = seen.lastLoss {
            status.lastFailover = LinkStatus.LastFailover(
                time: Timestamp(seconds: Int64(loss.time)),
                reason: loss.reason,
                connections: Int64(clamping: loss.connections)
            )
        }
        return status
    }

    func service(_ service: Service, last: ServiceStatus, before: ServiceStatus) -> ServiceStatus {
        var status = last
        let ports = snapshot.services.filter { $0.service.address == service.address }
        let counters = snapshot.counters.filter { $0.service.address == service.address }
        let targets = ports.flatMap { port in port.targets.map { (port.service.port, $0) } }
            .sorted { ($0.1.pathCost, $0.1.site.id, $0.0) < ($1.1.pathCost, $1.1.site.id, $1.0) }
        let usable = targets.map(\.1).filter { $0.state == .usable }

        var conditions = Conditions(last.conditions, now)
        conditions.set(.accepted, true, .accepted)
        let failure = ports.lazy.compactMap { port in
            port.listenError.map { "port \(port.service.port): \($0)" }
        }.first
        conditions.set(
            .programmed,
            failure == nil && isApplied,
            failure == nil ? (isApplied ? .programmed : .progressing) : .listenFailed,
            failure ?? ""
        )
        conditions.set(
            .hasTargets,
            !usable.isEmpty,
            usable.isEmpty ? (targets.isEmpty ? .noTargets : .noUsableTargets) : .targetsUsable,
            usable.isEmpty
                ? "no site that can be reached has a usable server for "
                    + "\(service.address?.text ?? service.metadata.name)" : ""
        )
        status.conditions = conditions.summarised([.accepted, .programmed, .hasTargets])

        status.targets = targets.prefix(ServiceStatus.maximumTargets).map { port, target in
            ServiceStatus.Target(
                site: target.site.label,
                port: service.spec.ports.count > 1 ? port.text : nil,
                pathCost: Int64(target.pathCost.value),
                endpoints: Int64(target.endpoints),
                connections: Int64(clamping: target.connections),
                state: target.state.rawValue,
                reason: target.reason,
                via: target.via
            )
        }
        status.activeSites = []
        for (index, target) in usable.enumerated() where index == 0 || target.connections > 0 {
            if !status.activeSites.contains(target.site.label) {
                status.activeSites.append(target.site.label)
            }
        }
        status.connections = ServiceStatus.Connections(
            active: Int64(clamping: counters.reduce(0) { $0 + $1.active }),
            opened: (before.connections?.opened ?? 0)
                + Int64(clamping: counters.reduce(0) { $0 + $1.opened }),
            failed: (before.connections?.failed ?? 0)
                + Int64(clamping: counters.reduce(0) { $0 + $1.failed })
        )
        countFailovers(&status, of: service, last: last)
        return status
    }

    /// Adds the records that came after the last one that was counted.
    private func countFailovers(
        _ status: inout ServiceStatus,
        of service: Service,
        last: ServiceStatus
    ) {
        let counted = last.cursors.first { $0.proxy == snapshot.proxy }?.failovers ?? 0
        let new = snapshot.failovers.filter {
            $0.service.address == service.address && Int64(clamping: $0.sequence) > counted
        }
        status.failovers = (last.failovers ?? 0) + Int64(new.count)
        guard let newest = new.max(by: { $0.sequence < $1.sequence }) else { return }
        status.cursors = [
            ProxyCursor(proxy: snapshot.proxy, failovers: Int64(clamping: newest.sequence))
        ]
        status.lastFailover = ServiceStatus.LastFailover(
            time: Timestamp(seconds: Int64(newest.time)),
            from: newest.from.label,
            to: newest.to.label,
            reason: newest.reason,
            lost: Int64(newest.lost),
            resumed: Int64(newest.resumed),
            duration: APIDuration(.milliseconds(Int64(clamping: newest.durationMilliseconds)))
        )
    }

    func site(
        _ site: Site,
        last: SiteStatus,
        links: [LinkStatus],
        services: [ServiceStatus]
    ) -> SiteStatus {
        var status = last
        var conditions = Conditions(last.conditions, now)
        conditions.set(
            .accepted,
            state.problems.isEmpty,
            state.problems.isEmpty ? .accepted : .invalid,
            state.problems.isEmpty
                ? ""
                : "the last good configuration stays; correct the files: "
                    + state.problems.map(\.description).joined(separator: "; ")
        )
        conditions.set(
            .programmed,
            isReady && isApplied,
            isReady && isApplied ? .programmed : .progressing
        )
        let access = site.spec.linkAccess
        conditions.set(.reachable, true, access == nil ? .dialsOnly : .reachable)
        status.conditions = conditions.summarised([.accepted, .programmed, .reachable])
        status.siteID = siteID
        status.endpoints = (access?.hosts ?? []).map {
            LinkEndpoint(host: $0, port: access?.port ?? LinkAccess.standardPort)
        }
        status.proxies = SiteStatus.Proxies(
            desired: 1,
            ready: isReady ? 1 : 0,
            sidecars: Int32(clamping: snapshot.edges.count)
        )
        status.links = Self.tally(links.map(\.conditions))
        status.services = Self.tally(services.map(\.conditions))
        status.connections = ConnectionCounts(
            active: services.reduce(0) { $0 + ($1.connections?.active ?? 0) },
            opened: services.reduce(0) { $0 + ($1.connections?.opened ?? 0) }
        )
        return status
    }

    private static func tally(_ conditions: [[Condition]]) -> SiteStatus.Tally {
        SiteStatus.Tally(
            total: Int32(clamping: conditions.count),
            ready: Int32(
                clamping: conditions.count { $0.isTrue(ConditionType.ready.rawValue) }
            )
        )
    }

    /// A measured time as it is shown: the shown one stays while the measured one is within a quarter of it.
    private static func bucket(_ microseconds: UInt64, shown: APIDuration?) -> APIDuration {
        if let shown {
            let old = Double(shown.duration.wholeNanoseconds) / 1000
            if old > 0, (0.75...1.25).contains(Double(microseconds) / old) { return shown }
        }
        // Two digits.
        var scale: UInt64 = 1
        while microseconds / scale >= 100 { scale *= 10 }
        return APIDuration(.microseconds(Int64(clamping: microseconds / scale * scale)))
    }
}

/// The conditions of one object, with `Ready` and `Stalled` made from the others.
private struct Conditions {
    private var list: [Condition]
    private let now: Timestamp

    init(_ last: [Condition], _ now: Timestamp) {
        list = last
        self.now = now
    }

    mutating func set(
        _ type: ConditionType,
        _ holds: Bool,
        _ reason: Reason,
        _ message: String = ""
    ) {
        list.set(
            type.rawValue,
            holds ? .yes : .no,
            reason: reason.rawValue,
            message: message,
            at: now
        )
    }

    func summarised(_ parts: [ConditionType]) -> [Condition] {
        var copy = self
        let failing = parts.lazy.compactMap { list[type: $0.rawValue] }.first { $0.status != .yes }
        let reason = failing.flatMap { Reason(rawValue: $0.reason) } ?? .ready
        copy.set(.ready, failing == nil, reason, failing?.message ?? "")
        if reason == .invalid {
            copy.set(.stalled, true, reason, failing?.message ?? "")
        } else {
            copy.list.remove(ConditionType.stalled.rawValue)
        }
        return copy.list
    }
}
