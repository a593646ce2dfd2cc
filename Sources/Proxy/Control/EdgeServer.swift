import Balancing
import NetworkModel
import Routing
import SiteConfiguration
import Wire

/// What a gateway tells its attached edges, and what they report.
///
/// Confined to loop 0.
///
/// Every edge is told once of all that it wants to hear of, then differences. A generation of the table is tied to the generation of the
/// configuration that it reflects, so that an acknowledgement says which configuration the edge picks by. A long table
/// leaves a few frames at a time, and the next one when all of it has left.
final class EdgeServer {
    private struct Attached {
        /// What it wants to hear of; nil: everything, as it cannot say.
        var wants: Set<ServicePort>?
        var stale = Difference(isEverything: true)
        /// The table that is being sent.
        var transfer: TableTransfer?
        /// Tables that are on their way by their generation, with that of the configuration.
        var pending: [UInt64: (configuration: UInt64, frames: UInt32)] = [:]
        var appliedGeneration: UInt64 = 0
        var reported = Reported()
    }

    private unowned let control: ControlPlane
    private var edges: [ProxyID: Attached] = [:]
    private var content = Content()
    /// Service ports whose part of `content` has to be worked out.
    private var stale: Set<ServicePort> = []
    private var staleNames: Set<SiteID> = []
    private var generation: UInt64 = 0
    private var isScheduled = false
    private static let pendingLimit = 1_024

    init(control: ControlPlane) { self.control = control }

    /// `tellsWants`: the edge will say what it wants to hear of, and is told of nothing before.
    func attached(_ edge: ProxyID, tellsWants: Bool) {
        if edges.isEmpty {
            // Nobody kept it.
            stale = Set(control.services.shared.keys)
            content = Content()
        }
        edges[edge] = Attached(wants: tellsWants ? [] : nil)
        schedule()
    }

    func detached(_ edge: ProxyID) {
        edges[edge] = nil
        control.snapshotChanged()
    }

    /// Control frames to this edge may have been lost.
    func disturbed(_ edge: ProxyID) {
        edges[edge]?.stale = Difference(isEverything: true)
        edges[edge]?.transfer = nil
        schedule()
    }

    /// The edge said what it wants to hear of.
    func wanted(_ wants: EdgeWants, by edge: ProxyID) {
        guard let state = edges[edge] else { return }
        let new = wants.isEverything ? nil : Set(wants.services)
        guard new != state.wants else { return }
        edges[edge]?.wants = new
        edges[edge]?.stale = Difference(isEverything: true)
        control.updateInterest()
        schedule()
    }

    /// What all attached edges want to hear of.
    var wants: ServiceInterest {
        var interest = ServiceInterest()
        for edge in edges.values {
            guard let wants = edge.wants else { return .all }
            interest.services.formUnion(wants)
        }
        return interest
    }

    /// Routes, servers or the configuration of these changed: the edges are told at the end of this turn.
    func changed(_ services: Set<ServicePort>, names: Set<SiteID> = []) {
        guard !edges.isEmpty else { return }
        stale.formUnion(services)
        staleNames.formUnion(names)
        schedule()
    }

    private func schedule() {
        guard !isScheduled, !edges.isEmpty else { return }
        isScheduled = true
        control.loop.schedule(after: .zero) { [weak self] _ in
            self?.isScheduled = false
            self?.flush()
        }
    }

    // MARK: Tables

    private func flush() {
        let difference = updateContent()
        // Most edges want the same, and were told the same before: the difference is made once for all of them.
        var transfers: [Told: TableTransfer] = [:]
        for edge in edges.keys.sorted() {
            guard var state = edges[edge] else { continue }
            state.stale.add(difference, within: state.wants)
            if state.transfer == nil, !state.stale.isEmpty {
                let told = Told(difference: state.stale, wants: state.wants)
                let transfer = transfers[told] ?? makeTransfer(told)
                transfers[told] = transfer
                state.stale = Difference()
                edges[edge] = state
                start(transfer, to: edge)
            } else {
                edges[edge] = state
            }
            control.loop.breathe()
        }
    }

    /// Works out what is stale; gives what is really another than before.
    private func updateContent() -> Difference {
        var difference = Difference()
        for key in stale {
            let new = service(key)
            guard new != content.services[key] else { continue }
            content.services[key] = new
            difference.services.insert(key)
            control.loop.breathe()
        }
        stale = []
        let configuration = control.document?.generation ?? 0
        difference.isOtherConfiguration = configuration != content.configuration
        content.configuration = configuration
        content.names = control.siteNames
        difference.names = staleNames
        staleNames = []
        return difference
    }

    private func makeTransfer(_ told: Told) -> TableTransfer {
        generation += 1
        let table = content.table(told, generation: generation)
        let (transfer, leftOut) = TableTransfer.make(of: table)
        if leftOut > 0 { control.log("a table for sidecars is \(leftOut) frames too long") }
        return transfer
    }

    private func start(_ transfer: TableTransfer, to edge: ProxyID) {
        if edges[edge]?.pending.count ?? 0 < Self.pendingLimit {
            edges[edge]?.pending[transfer.generation] =
                (content.configuration, transfer.frameCount)
        }
        edges[edge]?.transfer = transfer
        advance(edge, acknowledged: 0)
    }

    /// Sends what the window allows of the table that is being sent.
    private func advance(_ edge: ProxyID, acknowledged: UInt32) {
        let frames = edges[edge]?.transfer?.next(acknowledged: acknowledged) ?? []
        for frame in frames { control.send(.table, frame, to: edge) }
        if edges[edge]?.transfer?.isSent == true { edges[edge]?.transfer = nil }
    }

    /// What edges are told of a service port; nil when there is nothing to tell.
    private func service(_ key: ServicePort) -> EdgeService? {
        guard let shared = control.services.shared[key] else { return nil }
        let timeouts = control.services.timeouts(key)
        let own = control.core.id.site
        return EdgeService(
            service: key,
            connect: timeouts.connect,
            idle: timeouts.idle,
            halfClosed: timeouts.halfClosed,
            targets: shared.targets.map { target in
                let routes =
                    target.site == own ? [[]] : shared.ways(to: target.site)?.routes ?? []
                return EdgeTarget(target, routes: routes)
            }
        )
    }

    // MARK: What edges say

    func acknowledged(_ acknowledgement: EdgeTableAcknowledgement, by edge: ProxyID) {
        if edges[edge]?.transfer?.generation == acknowledgement.generation {
            advance(edge, acknowledged: acknowledgement.frames)
            // What has changed meanwhile.
            if edges[edge]?.transfer == nil { schedule() }
        }
        guard var state = edges[edge], let pending = state.pending[acknowledgement.generation],
            acknowledgement.frames >= pending.frames
        else { return }
        state.appliedGeneration = max(state.appliedGeneration, pending.configuration)
        state.pending = state.pending.filter { $0.key > acknowledgement.generation }
        edges[edge] = state
        control.snapshotChanged()
    }

    func reported(_ report: EdgeReport, by edge: ProxyID) {
        guard var state = edges[edge] else { return }
        let known = control.services.shared
        state.reported.take(report) { known[$0] != nil }
        edges[edge] = state
        control.snapshotChanged()
    }

    func snapshots(at now: Instant) -> [EdgeSnapshot] {
        edges.sorted { $0.key < $1.key }.map { edge, state in
            EdgeSnapshot(
                proxy: edge,
                appliedGeneration: state.appliedGeneration,
                counters: state.reported.counters.values.sorted { $0.service < $1.service }.map {
                    ServiceCounters(
                        service: $0.service,
                        active: $0.active,
                        opened: $0.opened,
                        failed: $0.failed,
                        interrupted: $0.interrupted
                    )
                },
                failovers: state.reported.failovers.map { control.snapshot(of: $0, at: now) }
            )
        }
    }
}
