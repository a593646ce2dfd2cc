import Balancing
import NetworkModel
import ProxyContract
import Routing

/// The services of a gateway: what is configured, the local servers of each, and how each stands.
///
/// The balancers that all loops share are the shell's: it is told what they have to be, and reports what became of them.
/// A service stays known until nothing needs it and its last connection has ended: counts are never lost. Pure.
struct ServiceTable: Sendable {
    /// Service ports of which the shell has a balancer, once it has reported.
    private(set) var reports: [ServicePort: ServiceReport] = [:]
    /// Service ports of which the shell has a balancer.
    private(set) var known: Set<ServicePort> = []
    /// Local servers that take connections, of every service port that has a provider.
    private(set) var advertised: [ServicePort: UInt32] = [:]
    /// Connections to local servers, of every service port that reports them and has some.
    private(set) var loads: [ServicePort: UInt64] = [:]
    private var haveLoadsChanged = false
    private let options: ControlOptions
    private var catalog: ServiceCatalog
    /// Where service ports listen that have a target.
    private var listening: [ServicePort: ServicePortConfiguration.Listen] = [:]
    /// What has to be joined into the balancers.
    private var stale = StepQueue<ServicePort>()
    /// What was given to the shell and was not reported yet.
    private var awaited: Set<ServicePort> = []
    private var refreshed = Refreshed()
    /// When `step` has to be called; nil while nothing waits.
    private(set) var nextDeadline: Instant?
    private static let stepCount = 64

    init(_ options: ControlOptions) {
        self.options = options
        catalog = ServiceCatalog(options)
    }

    // MARK: What is known

    /// The configured service ports.
    var ports: Set<ServicePort> { catalog.ports }
    var namesDeadline: Instant? { catalog.names.nextDeadline }

    func configuration(_ service: ServicePort) -> ServiceConfiguration? {
        catalog.configuration(service)
    }

    func policy(_ service: ServicePort) -> BalancingPolicy {
        catalog.configuration(service)?.balancing ?? .standard
    }

    func timeouts(_ service: ServicePort) -> ServiceTimeouts {
        catalog.configuration(service)?.timeouts ?? .standard
    }

    func isEarly(_ service: ServicePort) -> Bool {
        catalog.configuration(service)?.isEarly ?? false
    }

    /// What is wrong with the hosts of a service port, in order.
    func problems(_ service: ServicePort, _ turn: Turn) -> [HostProblem] {
        catalog.problems(service, own: Set(reports[service]?.ownServers ?? []), turn)
    }

    /// Takes over what differs; services that stayed as they were are not looked at.
    mutating func configure(
        _ difference: ServiceDifference,
        own: Set<IPAddress>,
        local: Set<IPAddress>,
        _ turn: inout Turn
    ) -> ServiceCatalog.Reconfigured {
        catalog.configure(difference, own: own, local: local, &turn)
    }

    mutating func setEndpoints(_ name: String, _ list: [LocalEndpoint], at now: Instant) {
        refresh(catalog.setEndpoints(name, list), at: now)
    }

    /// True when something else is wrong with the name than before.
    mutating func resolved(_ name: String, _ answer: Answer, _ turn: inout Turn) -> Bool {
        let changed = catalog.names.resolved(name, answer, &turn)
        if changed.addresses { refresh(catalog.ports(ofHost: name), at: turn.now) }
        return changed.failure
    }

    mutating func askNames(_ turn: inout Turn) {
        guard let deadline = namesDeadline, deadline <= turn.now else { return }
        catalog.names.ask(&turn)
    }

    // MARK: What follows

    /// What steps and reports have changed.
    struct Refreshed: Equatable {
        /// Service ports came or went, or loops have to know other time limits.
        var view = false
        /// Others listen than before.
        var listeners = false
        /// Other numbers of servers are to be advertised.
        var advertised = false
    }

    /// Local servers, routes or the configuration of some service ports changed: they are joined, a few in a step.
    mutating func refresh(
        _ keys: Set<ServicePort>,
        isRetimed: Bool = false,
        at now: Instant
    ) {
        if isRetimed { refreshed.view = true }
        guard !keys.isEmpty else { return }
        stale.append(keys)
        nextDeadline = now
    }

    /// Joins local servers and routes into a few balancers; gives the service ports that are new.
    mutating func step(
        _ routes: [ServicePort: [RouteTarget]],
        _ turn: inout Turn
    ) -> [ServicePort] {
        guard let deadline = nextDeadline, deadline <= turn.now else { return [] }
        var new: [ServicePort] = []
        for key in stale.take(Self.stepCount) {
            let isWanted = catalog.configuration(key) != nil || routes[key] != nil
            guard isWanted || known.contains(key) else { continue }
            if known.insert(key).inserted {
                new.append(key)
                refreshed.view = true
            }
            awaited.insert(key)
            turn.outputs.append(.updateService(key, update(key, routes[key] ?? [])))
        }
        nextDeadline = stale.isEmpty ? nil : turn.now
        return new
    }

    private func update(_ key: ServicePort, _ routes: [RouteTarget]) -> ServiceUpdate {
        ServiceUpdate(
            servers: catalog.servers(key),
            targets: routes.map(\.target),
            ways: Dictionary(
                routes.filter { !$0.routes.isEmpty }
                    .map { ($0.site, Ways(routes: $0.routes, detours: $0.detours)) },
                uniquingKeysWith: { first, _ in first }
            ),
            isOffered: catalog.isProvider(key),
            timeouts: timeouts(key),
            introducesClients: catalog.configuration(key)?.introducesClients ?? false,
            isEarly: isEarly(key),
            policy: policy(key),
            allowedSites: catalog.configuration(key)?.allowedSites.map {
                Set($0 + [options.own.site])
            }
        )
    }

    /// Takes how a service stands; true when its targets are others than before.
    mutating func take(
        _ report: ServiceReport,
        isRouted: Bool,
        _ turn: inout Turn
    ) -> Bool {
        let key = report.service
        guard known.contains(key) else { return false }
        awaited.remove(key)
        let before = reports.updateValue(report, forKey: key)
        let configuration = catalog.configuration(key)
        if report.hasDoubt { catalog.doubtHosts(of: key, &turn) }
        if configuration == nil, !isRouted, report.isIdle { forget(key, &turn) }
        let told = advertised[key]
        advertised[key] = catalog.isProvider(key) ? report.usableServers : nil
        if advertised[key] != told { refreshed.advertised = true }
        let load = report.load > 0 && catalog.isProvider(key) ? report.load : nil
        if load != loads[key] { (loads[key], haveLoadsChanged) = (load, true) }
        let listen = report.hasTarget ? catalog.listen(key) : nil
        if listen != listening[key] {
            refreshed.listeners = true
            listening[key] = listen
        }
        return before?.targets != report.targets
    }

    /// Whether `loads` are others than at the last call.
    mutating func takeLoadChange() -> Bool {
        defer { haveLoadsChanged = false }
        return haveLoadsChanged
    }

    /// Nobody needs it any more, and its last connection has ended.
    private mutating func forget(_ key: ServicePort, _ turn: inout Turn) {
        known.remove(key)
        reports[key] = nil
        refreshed.view = true
        turn.outputs.append(.forgetService(key))
    }

    /// Everything that was stale is joined and reported.
    var isSettled: Bool { stale.isEmpty && awaited.isEmpty }

    /// What has changed, once everything that was stale is joined and reported; nil before, and when nothing has.
    mutating func takeRefreshed() -> Refreshed? {
        guard isSettled, refreshed != Refreshed() else { return nil }
        defer { refreshed = Refreshed() }
        return refreshed
    }

    /// Where gateways listen for clients: closed while no target is usable.
    var listeners: [ClientListener] { listening.keys.sorted().compactMap(catalog.listener) }

    /// Where gateways would listen for clients of this service port; nil: nowhere.
    func listener(_ key: ServicePort) -> ClientListener? { catalog.listener(key) }
}
