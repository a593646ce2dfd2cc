import Balancing
import NetworkModel
import Routing
import SiteConfiguration
import Wire

/// What a gateway tells its attached edges, and what they report.
///
/// Confined to loop 0.
///
/// Every edge is told the whole table once, then differences. A generation of the table is tied to the generation of the
/// configuration that it reflects, so that an acknowledgement says which configuration the edge picks by. A long table
/// leaves a few frames at a time, and the next one when all of it has left.
final class EdgeServer {
    private struct Attached {
        /// The content that it was told; nil: it is told everything.
        var told: (version: UInt64, content: Content)?
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
    /// Increases with every other content.
    private var version: UInt64 = 0
    private var generation: UInt64 = 0
    private var isScheduled = false
    private static let pendingLimit = 1_024

    init(control: ControlPlane) { self.control = control }

    func attached(_ edge: ProxyID) {
        edges[edge] = Attached()
        changed()
    }

    func detached(_ edge: ProxyID) {
        edges[edge] = nil
        control.snapshotChanged()
    }

    /// Control frames to this edge may have been lost.
    func disturbed(_ edge: ProxyID) {
        edges[edge]?.told = nil
        edges[edge]?.transfer = nil
        changed()
    }

    /// Routes, services or the configuration changed: the edges are told at the end of this turn.
    func changed() {
        guard !isScheduled, !edges.isEmpty else { return }
        isScheduled = true
        control.loop.schedule(after: .zero) { [weak self] _ in
            self?.isScheduled = false
            self?.flush()
        }
    }

    // MARK: Tables

    private func flush() {
        let now = Content(
            services: currentServices(),
            names: control.siteNames,
            configuration: control.document?.generation ?? 0
        )
        if version == 0 || now != content { version += 1 }
        content = now
        // Most edges were told the same before: the difference is made once for all of them.
        var transfers: [UInt64: TableTransfer?] = [:]
        for edge in edges.keys.sorted() {
            guard let state = edges[edge], state.transfer == nil, state.told?.version != version
            else { continue }
            let known = state.told?.version ?? 0
            let transfer = transfers[known] ?? makeTransfer(since: state.told?.content)
            transfers[known] = transfer
            edges[edge]?.told = (version, content)
            if let transfer { start(transfer, to: edge) }
        }
    }

    private func makeTransfer(since told: Content?) -> TableTransfer? {
        guard let table = content.table(since: told, generation: generation + 1) else { return nil }
        generation += 1
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

    private func currentServices() -> [ServicePort: EdgeService] {
        let table = control.routeTable
        var services: [ServicePort: EdgeService] = [:]
        for (key, shared) in control.services.shared {
            let timeouts = control.services.timeouts(key)
            let routes = Dictionary(
                (table.services[key] ?? []).map { ($0.site, $0.routes) },
                uniquingKeysWith: { first, _ in first }
            )
            let targets = shared.targets.map { target in
                let isLocal = target.site == control.core.id.site
                return EdgeTarget(target, routes: isLocal ? [[]] : routes[target.site] ?? [])
            }
            services[key] = EdgeService(
                service: key,
                connect: timeouts.connect,
                idle: timeouts.idle,
                halfClosed: timeouts.halfClosed,
                targets: targets
            )
        }
        return services
    }

    // MARK: What edges say

    func acknowledged(_ acknowledgement: EdgeTableAcknowledgement, by edge: ProxyID) {
        if edges[edge]?.transfer?.generation == acknowledgement.generation {
            advance(edge, acknowledged: acknowledgement.frames)
            // What has changed meanwhile.
            if edges[edge]?.transfer == nil { changed() }
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
