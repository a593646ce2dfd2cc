import NetworkModel
import ProxyContract
import Routing
import Wire

/// What a gateway tells its attached sidecars, and what they report.
///
/// Every sidecar is told once of all that it wants to hear of, then differences. A generation of the table is tied to the
/// generation of the configuration that it reflects, so that an acknowledgment says which configuration the sidecar picks by. A
/// long table leaves a few frames at a time, and the next one when all of it has left. Pure.
struct SidecarServer: Sendable {
    private struct Attached: Sendable {
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

    /// What tables are made from.
    struct Source {
        /// Nil when there is nothing to tell of a service port.
        let service: (ServicePort) -> ToldService?
        let names: () -> [SiteID: String]
        let configuration: UInt64
    }

    private var sidecars: [ProxyID: Attached] = [:]
    private var content = Content()
    /// Service ports whose part of `content` has to be worked out.
    private var stale = StepQueue<ServicePort>()
    private var staleNames: Set<SiteID> = []
    private var isConfigurationStale = false
    /// What was worked out and no sidecar has been told.
    private var news = Difference()
    /// Sidecars to tell.
    private var telling = StepQueue<ProxyID>()
    /// Most sidecars want the same, and were told the same before: a table is made once for all of them.
    private var transfers: [Told: TableTransfer] = [:]
    private var generation: UInt64 = 0
    /// When `step` has to be called; nil while there is nothing to tell.
    private(set) var nextDeadline: Instant?
    private static let pendingLimit = 1_024
    private static let serviceStep = 64
    private static let sidecarStep = 16

    // MARK: Who is there

    /// `tellsWants`: the sidecar will say what it wants to hear of, and is told of nothing before.
    mutating func attached(
        _ sidecar: ProxyID,
        tellsWants: Bool,
        services: some Collection<ServicePort>,
        at now: Instant
    ) {
        if sidecars.isEmpty {
            // Nobody kept it.
            stale.removeAll()
            stale.append(services)
            content = Content()
            isConfigurationStale = true
            news = Difference()
        }
        sidecars[sidecar] = Attached(wants: tellsWants ? [] : nil)
        tell([sidecar], at: now)
    }

    /// In order: what is said must not depend on the order of a dictionary.
    var attached: [ProxyID] { sidecars.keys.sorted() }

    mutating func detached(_ sidecar: ProxyID) {
        sidecars[sidecar] = nil
        if sidecars.isEmpty { nextDeadline = nil }
    }

    /// Control frames to this sidecar may have been lost.
    mutating func disturbed(_ sidecar: ProxyID, at now: Instant) {
        sidecars[sidecar]?.stale = Difference(isEverything: true)
        sidecars[sidecar]?.transfer = nil
        tell([sidecar], at: now)
    }

    /// The sidecar said what it wants to hear of; true when that is something else than before.
    mutating func wanted(_ wants: SidecarWants, by sidecar: ProxyID, at now: Instant) -> Bool {
        guard let state = sidecars[sidecar] else { return false }
        let new = wants.isEverything ? nil : Set(wants.services)
        guard new != state.wants else { return false }
        sidecars[sidecar]?.wants = new
        sidecars[sidecar]?.stale = Difference(isEverything: true)
        tell([sidecar], at: now)
        return true
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

    /// Routes, servers or the configuration of these changed.
    mutating func changed(
        _ services: Set<ServicePort>,
        names: Set<SiteID> = [],
        isOtherConfiguration: Bool = false,
        at now: Instant
    ) {
        guard !sidecars.isEmpty else { return }
        stale.append(services)
        staleNames.formUnion(names)
        if isOtherConfiguration { isConfigurationStale = true }
        nextDeadline = now
    }

    private mutating func tell(_ some: some Collection<ProxyID>, at now: Instant) {
        telling.append(some)
        nextDeadline = sidecars.isEmpty ? nil : now
    }

    // MARK: Tables

    /// Works out a few services, or tells a few sidecars.
    mutating func step(_ source: Source, over lanes: AdjacencyTable, _ turn: inout Turn) {
        guard let deadline = nextDeadline, deadline <= turn.now else { return }
        nextDeadline = turn.now
        workOut(source)
        guard stale.isEmpty else { return }
        if !news.isEmpty {
            for (sidecar, state) in sidecars {
                sidecars[sidecar]?.stale.add(news, within: state.wants)
            }
            news = Difference()
            telling.append(sidecars.keys)
        }
        for sidecar in telling.take(Self.sidecarStep) { tell(sidecar, over: lanes, &turn) }
        if telling.isEmpty {
            transfers = [:]
            nextDeadline = nil
        }
    }

    /// Works out what is stale; only what is really another than before is news.
    private mutating func workOut(_ source: Source) {
        for key in stale.take(Self.serviceStep) {
            let new = source.service(key)
            guard new != content.services[key] else { continue }
            content.services[key] = new
            news.services.insert(key)
            transfers = [:]
        }
        guard stale.isEmpty, isConfigurationStale || !staleNames.isEmpty else { return }
        if source.configuration != content.configuration {
            news.isOtherConfiguration = true
            content.configuration = source.configuration
        }
        content.names = source.names()
        news.names.formUnion(staleNames)
        (isConfigurationStale, staleNames, transfers) = (false, [], [:])
    }

    private mutating func tell(
        _ sidecar: ProxyID,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        guard let state = sidecars[sidecar], state.transfer == nil, !state.stale.isEmpty
        else { return }
        let told = Told(
            difference: state.stale,
            wants: state.wants,
            knowsPolicies: lanes[sidecar]?.knowsPolicies ?? false,
            knowsEarly: lanes[sidecar]?.knowsEarly ?? false
        )
        let transfer = transfers[told] ?? makeTransfer(told, &turn)
        transfers[told] = transfer
        sidecars[sidecar]?.stale = Difference()
        if state.pending.count < Self.pendingLimit {
            sidecars[sidecar]?.pending[transfer.generation] =
                (content.configuration, transfer.frameCount)
        }
        sidecars[sidecar]?.transfer = transfer
        advance(sidecar, acknowledged: 0, over: lanes, &turn)
    }

    private mutating func makeTransfer(_ told: Told, _ turn: inout Turn) -> TableTransfer {
        generation += 1
        let table = content.table(told, generation: generation)
        let (transfer, leftOut) = TableTransfer.make(of: table)
        if leftOut > 0 { turn.log("a table for sidecars is \(leftOut) frames too long") }
        return transfer
    }

    /// Sends what the window allows of the table that is being sent.
    private mutating func advance(
        _ sidecar: ProxyID,
        acknowledged: UInt32,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        let frames = sidecars[sidecar]?.transfer?.next(acknowledged: acknowledged) ?? []
        for frame in frames { lanes.send(.table, frame, to: sidecar, &turn) }
        if sidecars[sidecar]?.transfer?.isSent == true { sidecars[sidecar]?.transfer = nil }
    }

    // MARK: What sidecars say

    mutating func acknowledged(
        _ acknowledgment: SidecarTableAcknowledgment,
        by sidecar: ProxyID,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        if sidecars[sidecar]?.transfer?.generation == acknowledgment.generation {
            advance(sidecar, acknowledged: acknowledgment.frames, over: lanes, &turn)
            // What has changed meanwhile.
            if sidecars[sidecar]?.transfer == nil { tell([sidecar], at: turn.now) }
        }
        guard var state = sidecars[sidecar], let pending = state.pending[acknowledgment.generation],
            acknowledgment.frames >= pending.frames
        else { return }
        state.appliedGeneration = max(state.appliedGeneration, pending.configuration)
        state.pending = state.pending.filter { $0.key > acknowledgment.generation }
        sidecars[sidecar] = state
    }

    mutating func reported(
        _ report: SidecarReport,
        by sidecar: ProxyID,
        isKnown: (ServicePort) -> Bool
    ) {
        sidecars[sidecar]?.reported.take(report, isKnown: isKnown)
    }

    func snapshots(_ failover: (FailoverRecord) -> FailoverSnapshot) -> [SidecarSnapshot] {
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
                failovers: state.reported.failovers.map(failover)
            )
        }
    }
}
