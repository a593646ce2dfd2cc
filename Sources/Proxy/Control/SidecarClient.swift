import Balancing
import NetworkModel
import SiteConfiguration
import SiteControl
import Wire

/// A sidecar's side: what its gateways tell, and what it reports to them.
///
/// Confined to loop 0.
final class SidecarClient {
    private unowned let control: ControlPlane
    private(set) var routes = SidecarRoutes()
    private(set) var shared: [ServicePort: SharedService] = [:]
    private var reported: [ServicePort: ServiceCounters] = [:]
    private var reportedSequence: UInt64 = 0
    private var needsAll = true
    private let listeners: [SidecarListener]
    private static let reportInterval: Duration = .milliseconds(500)

    init(control: ControlPlane, listeners: [SidecarListener]) {
        self.control = control
        self.listeners = listeners
    }

    func start() {
        control.loop.schedule(after: Self.reportInterval) { [weak self] _ in
            guard let self else { return }
            report()
            start()
        }
    }

    // MARK: Tables

    func received(_ table: SidecarTable, from gateway: ProxyID) {
        guard let answer = routes.apply(table, from: gateway) else { return }
        if table.isLast { refresh() }
        control.send(.tableAcknowledgment, answer.encoded, to: gateway)
    }

    func attached(_ gateway: ProxyID) {
        needsAll = true
        tellWants(gateway)
        refresh()
    }

    /// A gateway tells of nothing else.
    private func tellWants(_ gateway: ProxyID) {
        let wants = SidecarWants(Set(listeners.map(\.service)).sorted())
        control.send(.wants, wants.encoded, to: gateway)
    }

    /// The gateway drains: the others are used, if there are any.
    func draining(_ gateway: ProxyID) {
        routes.setDraining(gateway)
        refresh()
    }

    func detached(_ gateway: ProxyID) {
        routes.drop(gateway)
        needsAll = true
        refresh()
    }

    /// Control frames to this gateway may have been lost.
    func disturbed(_ gateway: ProxyID) {
        needsAll = true
        tellWants(gateway)
    }

    private func refresh() {
        let known = routes.services
        for key in known {
            let service = shared[key] ?? control.makeService(key)
            if shared[key] == nil {
                shared[key] = service
                control.counts.applyOthers(key)
            }
            let joined = routes.targets(key)
            service.update(
                targets: joined.map(\.target),
                ways: Dictionary(
                    joined.map { ($0.target.site, Ways(routes: $0.routes)) },
                    uniquingKeysWith: { first, _ in first }
                ),
                at: control.loop.now
            )
        }
        for (key, service) in shared where !known.contains(key) {
            // Without a gateway nothing is in reach; the balancer remembers, for the failback.
            let targets = service.targets.map { target in
                guard target.reach.offer != nil else { return target }
                return Target(site: target.site, reach: .absent(.linkLost))
            }
            service.update(targets: targets, at: control.loop.now)
            if service.isIdle, !listeners.contains(where: { $0.service == key }) {
                shared[key] = nil
            }
        }
        control.publish()
    }

    /// True once a gateway has told of every address that this sidecar listens for.
    var isReady: Bool {
        let known = routes.services
        return !control.homes.isEmpty && listeners.allSatisfy { known.contains($0.service) }
    }

    var clientListeners: [ClientListener] {
        listeners.filter { shared[$0.service]?.hasTarget == true }
            .map {
                ClientListener(
                    service: $0.service,
                    place: ListenPlace(address: $0.endpoint.address, port: $0.endpoint.port)
                )
            }
    }

    // MARK: Reports

    /// Tells every gateway what has changed since the last report; all of it after a gateway came.
    private func report() {
        let counters = control.counters(shared)
        let changed = counters.filter { needsAll || reported[$0.service] != $0 }
        let records = control.failovers.records.filter {
            needsAll || $0.sequence > reportedSequence
        }
        guard !control.homes.isEmpty, !changed.isEmpty || !records.isEmpty else { return }
        let report = SidecarReport(
            counters: changed.map {
                SidecarReport.Counter(
                    service: $0.service,
                    active: $0.active,
                    opened: $0.opened,
                    failed: $0.failed,
                    interrupted: $0.interrupted
                )
            },
            failovers: records
        )
        for fragment in report.fragments() {
            var writer = FrameWriter()
            fragment.encode(into: &writer, at: control.loop.now)
            for home in control.homes { control.send(.report, writer.bytes, to: home) }
        }
        for counter in counters { reported[counter.service] = counter }
        reportedSequence = records.last?.sequence ?? reportedSequence
        needsAll = false
    }
}
