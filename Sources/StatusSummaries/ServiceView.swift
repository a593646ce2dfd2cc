package import NetworkModel
package import ProxyContract

/// What the gateways and sidecars of a site say of one Service, merged.
package struct ServiceView: Equatable, Sendable {
    /// By tiers, in each the cheapest first; one for each site and port.
    package var targets: [Target] = []
    /// Why a gateway could not listen; nil when all that should listen do.
    package var listenError: String?
    /// Hosts that a gateway does not use, or not wholly.
    package var hostProblems: [HostProblem] = []
    /// Connections that clients of this site have open.
    package var active: UInt64 = 0
    /// One for each proxy.
    package var readings: [ProxyReading] = []
    package var failovers: [ProxyFailover] = []

    package init() {}

    /// Merges what `site` says of the ports of one service address.
    package init(site: SiteView, address: ServiceAddress) {
        let reports = ServiceReports(site, address)
        for port in reports.ports {
            if let error = port.listenError, listenError == nil {
                listenError = "port \(port.service.port): \(error)"
            }
            for problem in port.hostProblems ?? [] where !hostProblems.contains(problem) {
                hostProblems.append(problem)
            }
        }
        targets = Self.merge(reports.ports)
        for report in reports.counters {
            active = active.addingSaturated(report.counters.saturatedSum(\.active))
            readings.append(
                ProxyReading(
                    proxy: report.proxy,
                    opened: report.counters.saturatedSum(\.opened),
                    failed: report.counters.saturatedSum(\.failed)
                )
            )
        }
        failovers = reports.failovers
    }

    /// One site that serves one port.
    package struct Target: Equatable, Sendable {
        package var port: PortName
        package var view: ServiceSnapshot.Target

        package init(port: PortName, view: ServiceSnapshot.Target) {
            self.port = port
            self.view = view
        }
    }

    /// The sites that new connections go to: of the first tier with a usable one, those that hold connections now, and the
    /// cheapest one.
    package var activeSites: [String] {
        var usable = targets.filter { $0.view.state == .usable }
        let tier = usable.first?.view.tierNumber
        usable.removeAll { $0.view.tierNumber != tier }
        var names: [String] = []
        for (index, target) in usable.enumerated() where index == 0 || target.view.connections > 0 {
            let name = target.view.site.displayName
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    package var hasUsableTarget: Bool { targets.contains { $0.view.state == .usable } }

    private static func merge(_ reports: [ServiceSnapshot]) -> [Target] {
        var ports: [PortName: [SiteID: ServiceSnapshot.Target]] = [:]
        for service in reports {
            for new in service.targets {
                let known = ports[service.service.port]?[new.site.id]
                ports[service.service.port, default: [:]][new.site.id] =
                    known?.merged(with: new) ?? new
            }
        }
        return ports.flatMap { port, sites in sites.values.map { Target(port: port, view: $0) } }
            .sorted { left, right in
                (left.view.order, left.view.site.id, left.port)
                    < (right.view.order, right.view.site.id, right.port)
            }
    }
}

extension ServiceSnapshot.Target {
    /// The better view of the same site; every gateway knows the connections of the whole site, some a little later.
    fileprivate func merged(with other: Self) -> Self {
        var better = (state.rank, order) <= (other.state.rank, other.order) ? self : other
        better.endpoints = max(endpoints, other.endpoints)
        better.connections = max(connections, other.connections)
        if better.site.name.isEmpty { better.site = site.name.isEmpty ? other.site : site }
        return better
    }

    fileprivate var tierNumber: Int { tier ?? 0 }

    /// By tiers, in each the cheapest first, those without a path last.
    fileprivate var order: UInt64 {
        let cost = pathCost.map { UInt64((givenCost ?? $0).value) } ?? UInt64(UInt32.max) + 1
        return UInt64(min(max(tierNumber, 0), 0xFFFF)) << 33 | cost
    }
}

extension ServiceSnapshot.State {
    /// The best first.
    fileprivate var rank: Int {
        switch self {
        case .usable: 0
        case .draining: 1
        case .ejected: 2
        case .excluded: 3
        case .unreachable: 4
        }
    }
}
