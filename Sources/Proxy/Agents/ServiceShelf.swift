import Balancing
import NetworkModel
import ProxyContract
import SiteControl

/// The balancers of all services, which all loops share: made, brought up to date and looked at as the control says.
///
/// Confined to loop 0. What was touched is reported to the control with the outputs that touched it.
final class ServiceShelf {
    /// What every loop knows of services.
    private(set) var entries: [ServicePort: ServiceEntry] = [:]
    private let core: ProxyCore
    private let loop: EventLoop
    private let changes = ServiceChanges()
    private let prober: ServerProber
    /// What the control has to hear of.
    private var touched: Set<ServicePort> = []

    init(core: ProxyCore, loop: EventLoop) {
        self.core = core
        self.loop = loop
        prober = ServerProber(loop: loop)
    }

    func update(_ key: ServicePort, _ update: ServiceUpdate) {
        let (now, own) = (loop.now, core.id.site)
        let isKnown = entries[key] != nil
        let service = entries[key]?.shared ?? make(key)
        entries[key] = ServiceEntry(
            shared: service,
            timeouts: update.timeouts,
            introducesClients: update.introducesClients,
            isEarly: update.isEarly
        )
        service.update(servers: update.servers, at: own, now: now)
        let haveWaysChanged = service.update(
            targets: update.targets,
            ways: update.ways,
            offeredAt: update.isOffered ? own : nil,
            policy: update.policy,
            at: now
        )
        if haveWaysChanged, core.plane.noteWays() {
            core.tellAgents { $0.engine.waysChanged() }
        }
        if service.setAllowedSites(update.allowedSites), isKnown {
            core.tellAgents { $0.engine.endForbiddenStreams() }
        }
        touched.insert(key)
    }

    private func make(_ key: ServicePort) -> SharedService {
        let (core, changes) = (core, changes)
        let service = SharedService(service: key, sockets: core.plane.ownSockets) {
            if changes.insert(key) { core.tellControl { $0.feed(.countsChanged) } }
        }
        core.know(service, as: key)
        return service
    }

    func setElsewhere(_ key: ServicePort, _ counts: [SiteID: UInt64]) {
        entries[key]?.shared.setElsewhere(counts)
    }

    func setOthers(_ key: ServicePort, _ counts: [SiteID: UInt64]) {
        entries[key]?.shared.setOthers(counts)
        touched.insert(key)
    }

    func forget(_ key: ServicePort) {
        entries[key] = nil
        core.know(nil, as: key)
        touched.remove(key)
        prober.forget(key)
    }

    /// Connections came, went or failed.
    func markChanged() {
        for key in changes.take() {
            entries[key]?.shared.willRead()
            touched.insert(key)
        }
    }

    func markAll() { touched.formUnion(entries.keys) }

    /// How the services stand that were touched since the last call, a few at a time: there may be thousands.
    func takeReports() -> [[ServiceReport]] {
        guard !touched.isEmpty else { return [] }
        defer { touched = [] }
        var reports: [[ServiceReport]] = []
        for key in touched.sorted() {
            guard let entry = entries[key] else { continue }
            prober.look(at: entry)
            if reports.last?.count ?? Self.batch == Self.batch { reports.append([]) }
            let report = entry.shared.report(records: entry.shared.takeRecords())
            reports[reports.count - 1].append(report)
            loop.breathe()
        }
        return reports
    }

    private static let batch = 64
}

extension SharedService {
    func report(records: [FailoverRecord] = []) -> ServiceReport {
        var report = ServiceReport(service)
        report.targets = targets
        report.states = states
        report.hasTarget = hasTarget
        report.usableServers = usableCount
        report.load = load
        report.hasDoubt = hasDoubt
        report.ownServers = ownServers
        report.isIdle = isIdle
        report.ownCounts = ownCounts
        report.counters = counters
        report.records = records
        return report
    }
}
