import Balancing
import NetworkModel
import SiteConfiguration
import Synchronization

/// The balancers and counters of one service port, shared by all loops of a proxy.
///
/// One lock makes a pick and its count one step, so that balancing is exact with any number of loops. `onChange` is
/// called without the lock after every change of a count, from any loop's thread.
final class SharedService: Sendable {
    let service: ServicePort
    private let onChange: @Sendable () -> Void
    private let state: Mutex<State>

    private struct State: Sendable {
        var balancer: ServiceBalancer
        var endpoints = EndpointBalancer()
        var targets: [Target] = []
        var ways: [SiteID: Ways] = [:]
        var counters: ServiceCounters
    }

    init(service: ServicePort, onChange: @escaping @Sendable () -> Void) {
        self.service = service
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
        onChange()
        return result
    }
}

// MARK: - What the control plane sets and reads

extension SharedService {
    /// Takes the targets, and the ways to those that are elsewhere.
    func update(targets: [Target], ways: [SiteID: Ways] = [:], at now: Instant) {
        state.withLock { state in
            state.balancer.update(targets, at: now)
            state.targets = targets
            state.ways = ways
        }
    }

    /// The ways to a target; nil when there is none.
    func ways(to site: SiteID) -> Ways? { state.withLock { $0.ways[site] } }

    /// The servers of this site, all of them.
    func update(servers: [EndpointBalancer.Server], at site: SiteID) {
        state.withLock { state in
            if state.endpoints.update(servers) { state.balancer.renew(site) }
        }
    }

    /// What the site's other proxies have open, per target.
    func setOthers(_ counts: [SiteID: UInt64]) {
        state.withLock { $0.balancer.setOthers(counts) }
    }

    var targets: [Target] { state.withLock { $0.targets } }
    var states: [TargetState] { state.withLock { $0.balancer.states } }
    var hasTarget: Bool { state.withLock { $0.balancer.hasTarget } }
    var ownCounts: [SiteID: UInt64] { state.withLock { $0.balancer.ownCounts } }
    var readyCount: UInt32 { state.withLock { $0.endpoints.readyCount } }
    var terminatingCount: UInt32 { state.withLock { $0.endpoints.terminatingCount } }
    var counters: ServiceCounters { state.withLock { $0.counters } }

    /// The failovers and failbacks completed since the last call.
    func takeRecords() -> [FailoverRecord] { state.withLock { $0.balancer.takeRecords() } }

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

    /// The target answered.
    func opened(_ pick: Pick, at now: Instant) {
        change { $0.balancer.opened(pick, at: now) }
    }

    /// The target did not take the connection; releases the pick.
    func failed(_ pick: Pick, reason: FailoverReason, at now: Instant) {
        change { $0.balancer.failed(pick, reason: reason, at: now) }
    }

    /// The connection has ended, or its failure does not speak against the target.
    func release(_ pick: Pick) {
        change { $0.balancer.release(pick) }
    }

    /// The connection was reset because its target or the path to it was lost; releases the pick.
    func lost(_ pick: Pick, at now: Instant) {
        change { $0.balancer.lost(pick, at: now) }
    }

    /// How the connection of a client went on.
    enum ClientEvent: Sendable {
        /// A target took it for the first time.
        case opened
        /// It ended after it had been opened.
        case closed
        /// It ended because no target took it.
        case failed
        /// It was cut after bytes had been exchanged; `closed` follows.
        case interrupted
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
            }
        }
    }
}

// MARK: - Servers, for the proxy that connects to them

extension SharedService {
    /// Counts the connection as open to the chosen server.
    func pickServer(excluding excluded: [Endpoint], at now: Instant) -> ServerPick? {
        state.withLock { $0.endpoints.pick(excluding: excluded, at: now) }
    }

    func serverOpened(_ pick: ServerPick, at now: Instant) {
        state.withLock { $0.endpoints.opened(pick, at: now) }
    }

    /// The server refused, or reset at once; releases the pick.
    func serverFailed(_ pick: ServerPick, at now: Instant) {
        state.withLock { $0.endpoints.failed(pick, at: now) }
    }

    /// The connection has ended, or its failure does not speak against the server.
    func serverReleased(_ pick: ServerPick) {
        state.withLock { $0.endpoints.release(pick) }
    }
}
