import KubernetesAPI
import NetworkAPI
import NetworkModel
import StatusSummaries

/// A status that can tell what in it is a mere count.
protocol CountingStatus: NetworkStatus {
    /// The same status without counts and without the bookkeeping for them.
    var withoutCounts: Self { get }
    var activeConnections: Int64 { get }
    /// The counts that are worth a write of their own.
    var counts: [Int64] { get }
    /// What changes a little all the time.
    var measurements: [Int64] { get }
    /// What must be stored before the next one is counted.
    var booked: [ProxyCursor] { get }
}

extension StatusDifference {
    /// `generation`: that of the object.
    static func between<Status: CountingStatus>(
        _ stored: Status,
        _ wanted: Status,
        generation: Int64?
    ) -> Self {
        guard stored.meaning == wanted.meaning else {
            if stored.observedGeneration != generation, stored.booked == wanted.booked,
                wanted.conditions.areProgress
            {
                return .progress
            }
            guard stored.observedGeneration == wanted.observedGeneration else { return .answer }
            guard stored.booked == wanted.booked else { return .booking }
            return wanted.conditions.improve(stored.conditions) ? .improvement : .observation
        }
        // A new cursor for counts alone tells nobody anything.
        guard stored.counts != wanted.counts else {
            return stored.measurements == wanted.measurements ? .none : .measurement
        }
        let (before, after) = (stored.activeConnections, wanted.activeConnections)
        let isLarge =
            (before == 0) != (after == 0) || (after - before).magnitude * 10 > before.magnitude
        return isLarge ? .manyCounts : .fewCounts
    }
}

extension CountingStatus {
    var measurements: [Int64] { [] }
    var booked: [ProxyCursor] { [] }

    /// What is ours in it and no count.
    fileprivate var meaning: Self {
        var status = withoutCounts
        status.conditions = status.conditions.ours.sorted { $0.type < $1.type }
        return status
    }
}

extension SiteStatus: CountingStatus {
    var withoutCounts: SiteStatus {
        var status = self
        status.connections = nil
        status.cursors = cursors.countedFailovers
        return status
    }

    var activeConnections: Int64 { connections?.active ?? 0 }
    var counts: [Int64] { [connections?.active ?? 0, connections?.opened ?? 0] }
}

extension LinkStatus: CountingStatus {
    var withoutCounts: LinkStatus {
        var status = self
        status.connections = nil
        status.cursors = cursors.countedFailovers
        // The first measurement tells something; its later changes do not.
        if status.roundTripTime != nil { status.roundTripTime = Self.someTime }
        return status
    }

    private static let someTime = APIDuration(.milliseconds(1))

    var activeConnections: Int64 { connections?.active ?? 0 }
    var counts: [Int64] {
        [connections?.active ?? 0, connections?.opened ?? 0]
    }

    var measurements: [Int64] { [roundTripTime?.duration.wholeNanoseconds ?? 0] }
}

extension ServiceStatus: CountingStatus {
    var withoutCounts: ServiceStatus {
        var status = self
        status.connections = nil
        status.cursors = cursors.countedFailovers
        status.activeSites = []
        status.active = nil
        for index in status.targets.indices { status.targets[index].connections = 0 }
        return status
    }

    var activeConnections: Int64 { connections?.active ?? 0 }
    var counts: [Int64] {
        [connections?.active ?? 0, connections?.opened ?? 0, connections?.failed ?? 0]
            + targets.map(\.connections)
            + activeSites.map { Int64(truncatingIfNeeded: StableHash.bits64($0.utf8)) }
    }

    /// A failover is told once its count is stored, one after another.
    var booked: [ProxyCursor] { cursors.countedFailovers }
}

extension [Condition] {
    private static let good: [ConditionType] = [
        .ready, .accepted, .programmed, .reachable, .connected, .hasTargets,
    ]

    /// Whether all that they say of the object is that it is worked on.
    fileprivate var areProgress: Bool {
        guard let ready = self[type: ConditionType.ready.rawValue] else { return false }
        return ready.status != .yes && ready.reason == Reason.progressing.rawValue
    }

    /// Whether something good is true that was not before, and nothing good has ceased to be.
    fileprivate func improve(_ before: [Condition]) -> Bool {
        func truths(_ conditions: [Condition]) -> Set<ConditionType> {
            Set(Self.good.filter { conditions.isTrue($0.rawValue) })
        }
        return truths(self).isStrictSuperset(of: truths(before))
    }
}

extension [ProxyCursor] {
    /// How far failovers are counted: a step must be stored with what it counted, or it is counted again.
    fileprivate var countedFailovers: [ProxyCursor] {
        filter { $0.failovers != nil }.sorted { $0.proxy < $1.proxy }
            .map { ProxyCursor(proxy: $0.proxy, failovers: $0.failovers) }
    }
}
