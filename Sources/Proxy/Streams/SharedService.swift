import Balancing
import NetworkModel
import ProxyContract
import Streaming
import Synchronization

/// The balancers and counters of one service port, shared by all loops of a proxy.
///
/// One lock makes a pick and its count one step, so that balancing is exact with any number of loops. `onChange` is
/// called without the lock after the first change of a count since `willRead`, from any loop's thread.
final class SharedService: Sendable {
    let service: ServicePort
    private let sockets: OwnSockets
    private let onChange: @Sendable () -> Void
    private let state: Mutex<State>
    /// `onChange` was called for what was not read yet.
    private let isTold = Atomic(false)

    private struct State: Sendable {
        var balancer: ServiceBalancer
        var endpoints = EndpointBalancer()
        /// What routing says.
        var routed: [Target] = []
        /// What this site offers, if it does.
        var local: Target?
        var ways: [SiteID: Ways] = [:]
        /// Whose clients may use this site's servers; nil: all.
        var allowedSites: Set<SiteID>?
        var counters: ServiceCounters
        var share = ServiceShare()
        /// Others hear of every connection to a server.
        var reportsLoad = false
        var meters = TargetMeters()

        var targets: [Target] { routed + (local.map { [$0] } ?? []) }

        /// Takes what the servers make of this site into the balancer, in one step with whatever changed them.
        ///
        /// True when that is something new.
        mutating func settle(at now: Instant) -> Bool {
            guard let known = local else { return false }
            let new = endpoints.target(at: known.site)
            guard new != known else { return false }
            local = new
            balancer.update(targets, at: now)
            return true
        }
    }

    /// `sockets` remembers the ends of connections to servers.
    init(
        service: ServicePort,
        sockets: OwnSockets = OwnSockets(),
        onChange: @escaping @Sendable () -> Void
    ) {
        self.service = service
        self.sockets = sockets
        self.onChange = onChange
        state = Mutex(
            State(
                balancer: ServiceBalancer(service: service),
                counters: ServiceCounters(service: service)
            )
        )
    }

    /// For changes that others have to hear of.
    private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let result = state.withLock { (state) in body(&state) }
        tell()
        return result
    }

    private func tell() {
        if !isTold.exchange(true, ordering: .acquiringAndReleasing) { onChange() }
    }

    /// What is read from now on shows all changes of which `onChange` told; it tells of the next again.
    func willRead() {
        // An exchange, not a store: it sees what was changed before the flag was found set.
        _ = isTold.exchange(false, ordering: .acquiringAndReleasing)
    }

    /// For what happens to servers: others hear of it only when this site becomes another target by it.
    private func changeServers(at now: Instant, _ body: (inout EndpointBalancer) -> Void) {
        let isNews = state.withLock { state in
            body(&state.endpoints)
            return state.settle(at: now) || state.reportsLoad
        }
        if isNews { tell() }
    }
}

// MARK: - What the control sets and reads

extension SharedService {
    /// Takes what routing says: targets, and the ways to those that are elsewhere; with `site`, this site's servers are a
    /// target as well; and how connections are spread over all of them.
    ///
    /// True when there are other ways than before.
    @discardableResult
    func update(
        targets: [Target],
        ways: [SiteID: Ways] = [:],
        offeredAt site: SiteID? = nil,
        policy: BalancingPolicy = .standard,
        at now: Instant
    ) -> Bool {
        state.withLock { state in
            state.balancer.setPolicy(policy, at: now)
            state.reportsLoad = policy.loadFrom == .allSites
            state.routed = targets
            let isNews = state.ways != ways
            state.ways = ways
            state.local = site.map { state.endpoints.target(at: $0) }
            state.balancer.update(state.targets, at: now)
            return isNews
        }
    }

    /// The ways to a target; nil when there is none.
    func ways(to site: SiteID) -> Ways? { state.withLock { $0.ways[site] } }

    /// The servers of this site, all of them.
    func update(servers: [EndpointBalancer.Server], at site: SiteID, now: Instant) {
        state.withLock { state in
            if state.endpoints.update(servers, at: now) { state.balancer.renew(site, at: now) }
        }
    }

    /// What the site's other proxies have open, per target.
    func setOthers(_ counts: [SiteID: UInt64]) {
        state.withLock { $0.balancer.setOthers(counts) }
    }

    /// What the clients of other sites have open, per target.
    func setElsewhere(_ counts: [SiteID: UInt64]) {
        state.withLock { $0.balancer.setElsewhere(counts) }
    }

    var targets: [Target] { state.withLock { $0.targets } }
    var states: [TargetState] { state.withLock { $0.balancer.states } }
    var hasTarget: Bool { state.withLock { $0.balancer.hasTarget } }
    var ownCounts: [SiteID: UInt64] { state.withLock { $0.balancer.ownCounts } }
    /// Connections that are open to servers of this site, where others hear of them.
    var load: UInt64 {
        state.withLock { state in
            state.reportsLoad ? state.endpoints.openCounts.values.reduce(0, +) : 0
        }
    }
    /// Servers of this site that take connections, as far as is known.
    var usableCount: UInt32 { state.withLock { $0.endpoints.usableCount } }
    var hasDoubt: Bool { state.withLock { $0.endpoints.hasDoubt } }
    /// Servers to which connections come back.
    var ownServers: [Endpoint] { state.withLock { $0.endpoints.ownServers } }
    var counters: ServiceCounters { state.withLock { $0.counters } }

    /// Everything that a pick goes by, at one moment.
    struct Account: Sendable {
        let ranking: [Candidate]
        let decisions: [Decision]
        let ways: [SiteID: Ways]
        let servers: [EndpointBalancer.Standing]
    }

    func account(at now: Instant) -> Account {
        state.withLock { state in
            Account(
                ranking: state.balancer.ranking(at: now),
                decisions: state.balancer.decisions,
                ways: state.ways,
                servers: state.local == nil ? [] : state.endpoints.standings
            )
        }
    }

    /// The failovers and failbacks completed since the last call.
    func takeRecords() -> [FailoverRecord] {
        state.withLock { state in
            let records = state.balancer.takeRecords()
            for record in records { state.meters.change(record.to) { $0.failedOver(record) } }
            return records
        }
    }

    /// Nothing is open, to no target and to no local server.
    var isIdle: Bool {
        state.withLock { state in
            state.balancer.ownCounts.isEmpty && state.endpoints.openCounts.isEmpty
                && state.counters.active == 0
        }
    }
}

// MARK: - Targets, for the proxy that has the client

extension SharedService {
    func pick(excluding excluded: [SiteID], at now: Instant) -> Pick? {
        change { $0.balancer.pick(excluding: excluded, at: now) }
    }

    /// The target took the connection, so long after the client came.
    func opened(_ pick: Pick, after time: Duration, at now: Instant) {
        change { state in
            state.balancer.opened(pick, at: now)
            state.meters.change(pick.site) { $0.connected(after: time) }
        }
    }

    /// The target sent the first byte, so long after the client came.
    func answered(by site: SiteID, after time: Duration) {
        state.withLock { $0.meters.change(site) { $0.answered(after: time) } }
    }

    /// So much more was moved.
    func moved(_ bytes: MovedBytes, with site: SiteID) {
        state.withLock { state in
            state.meters.change(site) { meter in
                meter.toServers += bytes.toServer
                meter.toClients += bytes.toClient
            }
        }
    }

    var meters: [SiteID: TargetMeter] { state.withLock { $0.meters.bySite } }

    /// The target did not take the connection; releases the pick.
    func failed(_ pick: Pick, reason: FailoverReason, at now: Instant) {
        change { $0.balancer.failed(pick, reason: reason, at: now) }
    }

    /// The target let a sidecar of this site in, or did not, because the site is not allowed.
    func heard(of site: SiteID, isAllowed: Bool, at now: Instant) {
        let isNews = state.withLock { state in
            state.balancer.heard(of: site, isAllowed: isAllowed, at: now)
        }
        if isNews { tell() }
    }

    /// The connection has ended, or its failure does not speak against the target.
    func release(_ pick: Pick) {
        change { $0.balancer.release(pick) }
    }

    /// The connection was reset because its target or the path to it was lost; releases the pick.
    func lost(_ pick: Pick, at now: Instant) {
        change { state in
            state.balancer.lost(pick, at: now)
            state.meters.change(pick.site) { $0.lost += 1 }
        }
    }

    /// The connection has gone on over another path to the target.
    func resumed(_ pick: Pick, at now: Instant) {
        change { state in
            state.balancer.resumed(pick, at: now)
            state.meters.change(pick.site) { $0.resumed += 1 }
        }
    }

    func count(_ event: ClientEvent) {
        change { state in
            switch event {
            case .opened:
                state.counters.opened += 1
                state.counters.active += 1
            case .closed: state.counters.active -= 1
            case .failed: state.counters.failed += 1
            case .interrupted: state.counters.interrupted += 1
            case .refused: state.counters.refused += 1
            }
        }
    }
}

// MARK: - Servers, for the proxy that connects to them

extension SharedService {
    /// Counts the connection as open to the server that the step names.
    func nextServer(_ attempts: inout ServerAttempts, at now: Instant) -> ServerAttempts.Step {
        let (step, isNews) = state.withLock { state in
            (attempts.next(of: &state.endpoints, at: now), state.reportsLoad)
        }
        if isNews { tell() }
        return step
    }

    func serverOpened(_ pick: ServerPick, at now: Instant) {
        changeServers(at: now) { $0.opened(pick, at: now) }
    }

    /// The server refused, or ended the connection at once; releases the pick.
    func serverFailed(_ pick: ServerPick, _ fault: ServerFault, at now: Instant) {
        forget(pick)
        changeServers(at: now) { $0.failed(pick, fault, at: now) }
    }

    /// The connection has ended, or its failure does not speak against the server.
    func serverReleased(_ pick: ServerPick) {
        forget(pick)
        let isNews = state.withLock { state in
            state.endpoints.release(pick)
            return state.reportsLoad
        }
        if isNews { tell() }
    }

    /// Whether clients of the site may use the servers.
    func allows(_ site: SiteID) -> Bool {
        state.withLock { $0.allowedSites?.contains(site) ?? true }
    }

    /// Sets who may use the servers, nil: all; true when somebody may no more.
    func setAllowedSites(_ sites: Set<SiteID>?) -> Bool {
        state.withLock { state in
            let before = state.allowedSites
            state.allowedSites = sites
            guard let sites else { return false }
            return before.map { !$0.isSubset(of: sites) } ?? true
        }
    }

    // MARK: Connections that come back

    /// The connection for this pick may come back; it is known by its own end then.
    func connecting(_ pick: inout ServerPick, from local: Endpoint?) {
        pick.local = local
        guard let local else { return }
        sockets.insert(
            OwnSockets.Connection(from: local, to: pick.endpoint),
            OwnSockets.Owner(service: self, server: pick.server)
        )
    }

    private func forget(_ pick: ServerPick) {
        guard let local = pick.local else { return }
        sockets.remove(OwnSockets.Connection(from: local, to: pick.endpoint))
    }

    /// A connection to this server was accepted by this proxy itself.
    func leadsToItself(_ server: Endpoint, at now: Instant) {
        changeServers(at: now) { $0.condemn(server, at: now) }
        tell()
    }

    // MARK: Probes

    /// The servers to probe now, and when the next one is due.
    func takeProbes(at now: Instant) -> (probes: [EndpointBalancer.Probe], next: Instant?) {
        state.withLock { state in
            let probes = state.endpoints.takeProbes(at: now)
            return (probes, state.endpoints.nextProbe(at: now))
        }
    }

    /// Nil: it took the connection and kept it.
    func probed(_ probe: ServerPick, _ fault: ServerFault?, at now: Instant) {
        forget(probe)
        changeServers(at: now) { endpoints in
            if let fault {
                endpoints.probeFailed(probe, fault, at: now)
            } else {
                endpoints.probeSucceeded(probe, at: now)
            }
        }
    }

    /// This host could not probe.
    func probeAbandoned(_ probe: ServerPick) {
        forget(probe)
        state.withLock { $0.endpoints.probeAbandoned(probe) }
    }
}

// MARK: - Its share of descriptors

extension SharedService {
    /// Whether one more connection may be taken; it counts until `left`.
    func admit(_ room: DescriptorRoom) -> Bool { state.withLock { $0.share.admit(in: room) } }

    /// The first byte of a connection has passed.
    func touched() { state.withLock { $0.share.touched() } }

    func left(isTouched: Bool) { state.withLock { $0.share.left(isTouched: isTouched) } }
}
