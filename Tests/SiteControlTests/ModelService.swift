import Balancing
import NetworkModel
import ProxyContract

@testable import SiteControl

/// The balancer of one service port as a shell keeps it, without locks and sockets.
struct ModelService {
    private let key: ServicePort
    private let site: SiteID
    private var balancer: ServiceBalancer
    private var endpoints = EndpointBalancer()
    private var routed: [Target] = []
    private var isOffered = false
    private var reportsLoad = false
    /// Connections that are open here.
    private(set) var picks: [Pick] = []
    private(set) var others: [SiteID: UInt64] = [:]

    init(_ key: ServicePort, at site: SiteID) {
        self.key = key
        self.site = site
        balancer = ServiceBalancer(service: key)
    }

    private var targets: [Target] { routed + (isOffered ? [endpoints.target(at: site)] : []) }

    mutating func update(_ update: ServiceUpdate, at now: Instant) {
        if endpoints.update(update.servers, at: now) { balancer.renew(site, at: now) }
        balancer.setPolicy(update.policy, at: now)
        reportsLoad = update.policy.loadFrom == .allSites
        (routed, isOffered) = (update.targets, update.isOffered)
        balancer.update(targets, at: now)
    }

    mutating func setOthers(_ counts: [SiteID: UInt64]) {
        others = counts
        balancer.setOthers(counts)
    }

    mutating func setElsewhere(_ counts: [SiteID: UInt64]) { balancer.setElsewhere(counts) }

    /// A connection has come to a server here.
    mutating func serve(at now: Instant) { _ = endpoints.pick(at: now) }

    /// Opens a connection; the site that takes it.
    mutating func connect(at now: Instant) -> SiteID? {
        guard let pick = balancer.pick(at: now) else { return nil }
        balancer.opened(pick, at: now)
        picks.append(pick)
        return pick.site
    }

    /// Ends the connection with this number.
    mutating func release(_ index: Int) { balancer.release(picks.remove(at: index)) }

    var own: [SiteID: UInt64] { balancer.ownCounts }

    mutating func report() -> ServiceReport {
        var report = ServiceReport(key)
        report.targets = targets
        report.states = balancer.states
        report.hasTarget = balancer.hasTarget
        report.usableServers = endpoints.usableCount
        report.load = reportsLoad ? endpoints.openCounts.values.reduce(0, +) : 0
        report.isIdle = picks.isEmpty
        report.ownCounts = balancer.ownCounts
        report.counters.active = UInt64(picks.count)
        report.records = balancer.takeRecords()
        return report
    }
}
