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
        var services: [ServicePort: EdgeService] = [:]
        var names: [SiteID: String] = [:]
        var needsAll = true
        /// The table that is being sent.
        var transfer: TableTransfer?
        /// Tables that are on their way by their generation, with that of the configuration.
        var pending: [UInt64: (configuration: UInt64, frames: UInt32)] = [:]
        var toldGeneration: UInt64 = 0
        var appliedGeneration: UInt64 = 0
        var reported = Reported()
    }

    private unowned let control: ControlPlane
    private var edges: [ProxyID: Attached] = [:]
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
        edges[edge]?.needsAll = true
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
        let services = currentServices()
        let names = control.siteNames
        let configuration = control.document?.generation ?? 0
        for edge in edges.keys.sorted() {
            guard var state = edges[edge], state.transfer == nil else { continue }
            let all = state.needsAll
            let changed = services.filter { all || state.services[$0.key] != $0.value }
            let removed = all ? [] : state.services.keys.filter { services[$0] == nil }
            let renamed = names.filter { all || state.names[$0.key] != $0.value }
            let isSilent =
                changed.isEmpty && removed.isEmpty && renamed.isEmpty
                && configuration == state.toldGeneration
            guard all || !isSilent else { continue }
            generation += 1
            let table = EdgeTable(
                generation: generation,
                replacesAll: all,
                services: changed.values.sorted { $0.service < $1.service },
                removed: removed.sorted(),
                names: renamed.sorted { $0.key < $1.key }
                    .map { EdgeSiteName(site: $0.key, name: $0.value) }
            )
            let (transfer, leftOut) = TableTransfer.make(of: table)
            if leftOut > 0 { control.log("a table for \(edge) is \(leftOut) frames too long") }
            if state.pending.count < Self.pendingLimit {
                state.pending[generation] = (configuration, transfer.frameCount)
            }
            state.transfer = transfer
            state.services = services
            state.names = names
            state.needsAll = false
            state.toldGeneration = configuration
            edges[edge] = state
            advance(edge, acknowledged: 0)
        }
    }

    /// Sends what the window allows of the table that is being sent.
    private func advance(_ edge: ProxyID, acknowledged: UInt32) {
        let frames = edges[edge]?.transfer?.next(acknowledged: acknowledged) ?? []
        for frame in frames { control.send(.table, frame.encoded, to: edge) }
        guard edges[edge]?.transfer?.isSent == true else { return }
        edges[edge]?.transfer = nil
        // What has changed meanwhile.
        changed()
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
