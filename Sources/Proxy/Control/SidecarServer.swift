import Balancing
import NetworkModel
import Routing
import SiteConfiguration
import SiteControl
import Wire

/// What a gateway tells its attached sidecars, and what they report.
///
/// Confined to loop 0.
///
/// Every sidecar is told once of all that it wants to hear of, then differences. A generation of the table is tied to the generation of the
/// configuration that it reflects, so that an acknowledgment says which configuration the sidecar picks by. A long table
/// leaves a few frames at a time, and the next one when all of it has left.
final class SidecarServer {
    private struct Attached {
        /// What it wants to hear of; nil: everything, as it cannot say.
        var wants: Set<ServicePort>?
        var stale = SidecarTables.Difference(isEverything: true)
        /// The table that is being sent.
        var transfer: TableTransfer?
        /// Tables that are on their way by their generation, with that of the configuration.
        var pending: [UInt64: (configuration: UInt64, frames: UInt32)] = [:]
        var appliedGeneration: UInt64 = 0
        var reported = SidecarTables.Reported()
    }

    private unowned let control: ControlPlane
    private var sidecars: [ProxyID: Attached] = [:]
    private var content = SidecarTables.Content()
    /// Service ports whose part of `content` has to be worked out.
    private var stale: Set<ServicePort> = []
    private var staleNames: Set<SiteID> = []
    private var generation: UInt64 = 0
    private var isScheduled = false
    private static let pendingLimit = 1_024

    init(control: ControlPlane) { self.control = control }

    /// `tellsWants`: the sidecar will say what it wants to hear of, and is told of nothing before.
    func attached(_ sidecar: ProxyID, tellsWants: Bool) {
        if sidecars.isEmpty {
            // Nobody kept it.
            stale = Set(control.services.shared.keys)
            content = SidecarTables.Content()
        }
        sidecars[sidecar] = Attached(wants: tellsWants ? [] : nil)
        schedule()
    }

    func detached(_ sidecar: ProxyID) {
        sidecars[sidecar] = nil
        control.snapshotChanged()
    }

    /// Control frames to this sidecar may have been lost.
    func disturbed(_ sidecar: ProxyID) {
        sidecars[sidecar]?.stale = SidecarTables.Difference(isEverything: true)
        sidecars[sidecar]?.transfer = nil
        schedule()
    }

    /// The sidecar said what it wants to hear of.
    func wanted(_ wants: SidecarWants, by sidecar: ProxyID) {
        guard let state = sidecars[sidecar] else { return }
        let new = wants.isEverything ? nil : Set(wants.services)
        guard new != state.wants else { return }
        sidecars[sidecar]?.wants = new
        sidecars[sidecar]?.stale = SidecarTables.Difference(isEverything: true)
        control.updateInterest()
        schedule()
    }

    /// What all attached sidecars want to hear of.
    var wants: ServiceInterest {
        var interest = ServiceInterest()
        for sidecar in sidecars.values {
            guard let wants = sidecar.wants else { return .all }
            interest.services.formUnion(wants)
        }
        return interest
    }

    /// Routes, servers or the configuration of these changed: the sidecars are told at the end of this turn.
    func changed(_ services: Set<ServicePort>, names: Set<SiteID> = []) {
        guard !sidecars.isEmpty else { return }
        stale.formUnion(services)
        staleNames.formUnion(names)
        schedule()
    }

    private func schedule() {
        guard !isScheduled, !sidecars.isEmpty else { return }
        isScheduled = true
        control.loop.schedule(after: .zero) { [weak self] _ in
            self?.isScheduled = false
            self?.flush()
        }
    }

    // MARK: Tables

    private func flush() {
        let difference = updateContent()
        // Most sidecars want the same, and were told the same before: the difference is made once for all of them.
        var transfers: [SidecarTables.Told: TableTransfer] = [:]
        for sidecar in sidecars.keys.sorted() {
            guard var state = sidecars[sidecar] else { continue }
            state.stale.add(difference, within: state.wants)
            if state.transfer == nil, !state.stale.isEmpty {
                let told = SidecarTables.Told(difference: state.stale, wants: state.wants)
                let transfer = transfers[told] ?? makeTransfer(told)
                transfers[told] = transfer
                state.stale = SidecarTables.Difference()
                sidecars[sidecar] = state
                start(transfer, to: sidecar)
            } else {
                sidecars[sidecar] = state
            }
            control.loop.breathe()
        }
    }

    /// Works out what is stale; gives what is really another than before.
    private func updateContent() -> SidecarTables.Difference {
        var difference = SidecarTables.Difference()
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

    private func makeTransfer(_ told: SidecarTables.Told) -> TableTransfer {
        generation += 1
        let table = content.table(told, generation: generation)
        let (transfer, leftOut) = TableTransfer.make(of: table)
        if leftOut > 0 { control.log("a table for sidecars is \(leftOut) frames too long") }
        return transfer
    }

    private func start(_ transfer: TableTransfer, to sidecar: ProxyID) {
        if sidecars[sidecar]?.pending.count ?? 0 < Self.pendingLimit {
            sidecars[sidecar]?.pending[transfer.generation] =
                (content.configuration, transfer.frameCount)
        }
        sidecars[sidecar]?.transfer = transfer
        advance(sidecar, acknowledged: 0)
    }

    /// Sends what the window allows of the table that is being sent.
    private func advance(_ sidecar: ProxyID, acknowledged: UInt32) {
        let frames = sidecars[sidecar]?.transfer?.next(acknowledged: acknowledged) ?? []
        for frame in frames { control.send(.table, frame, to: sidecar) }
        if sidecars[sidecar]?.transfer?.isSent == true { sidecars[sidecar]?.transfer = nil }
    }

    /// What sidecars are told of a service port; nil when there is nothing to tell.
    private func service(_ key: ServicePort) -> SidecarService? {
        guard let shared = control.services.shared[key] else { return nil }
        let timeouts = control.services.timeouts(key)
        let own = control.core.id.site
        return SidecarService(
            service: key,
            connect: timeouts.connect,
            idle: timeouts.idle,
            halfClosed: timeouts.halfClosed,
            targets: shared.targets.map { target in
                let routes =
                    target.site == own ? [[]] : shared.ways(to: target.site)?.routes ?? []
                return SidecarTarget(target, within: routes)
            }
        )
    }

    // MARK: What sidecars say

    func acknowledged(_ acknowledgment: SidecarTableAcknowledgment, by sidecar: ProxyID) {
        if sidecars[sidecar]?.transfer?.generation == acknowledgment.generation {
            advance(sidecar, acknowledged: acknowledgment.frames)
            // What has changed meanwhile.
            if sidecars[sidecar]?.transfer == nil { schedule() }
        }
        guard var state = sidecars[sidecar], let pending = state.pending[acknowledgment.generation],
            acknowledgment.frames >= pending.frames
        else { return }
        state.appliedGeneration = max(state.appliedGeneration, pending.configuration)
        state.pending = state.pending.filter { $0.key > acknowledgment.generation }
        sidecars[sidecar] = state
        control.snapshotChanged()
    }

    func reported(_ report: SidecarReport, by sidecar: ProxyID) {
        guard var state = sidecars[sidecar] else { return }
        let known = control.services.shared
        state.reported.take(report) { known[$0] != nil }
        sidecars[sidecar] = state
        control.snapshotChanged()
    }

    func snapshots(at now: Instant) -> [SidecarSnapshot] {
        sidecars.sorted { $0.key < $1.key }.map { sidecar, state in
            SidecarSnapshot(
                proxy: sidecar,
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
