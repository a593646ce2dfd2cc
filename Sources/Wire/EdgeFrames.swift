package import NetworkModel

/// One target of a service, as a gateway tells its edges.
package struct EdgeTarget: Hashable, Sendable {
    package var site: SiteID
    package var cost: PathCost
    /// Ready endpoints of the target; 0 when it is not usable.
    package var weight: UInt32
    /// Only used while nothing else is: its endpoints still serve while they terminate.
    package var isLastResort: Bool
    /// Why it is not usable; nil when it is.
    package var absence: FailoverReason?
    /// Equal in cost, each from the gateway (exclusive) to the egress (inclusive); an empty one: the gateway itself
    /// connects.
    package var routes: [[ProxyID]]

    package init(
        site: SiteID,
        cost: PathCost,
        weight: UInt32,
        isLastResort: Bool = false,
        absence: FailoverReason? = nil,
        routes: [[ProxyID]]
    ) {
        self.site = site
        self.cost = cost
        self.weight = weight
        self.isLastResort = isLastResort
        self.absence = absence
        self.routes = routes
    }

    fileprivate var encodedSize: Int {
        60 + routes.reduce(0) { $0 + 1 + 34 * $1.count }
    }

    fileprivate func encode(into writer: inout FrameWriter) {
        writer.siteID(site)
        writer.uint32(cost.value)
        writer.uint32(weight)
        writer.flag(isLastResort)
        writer.text8(absence?.rawValue ?? "")
        writer.uint8(UInt8(clamping: routes.count))
        for route in routes.prefix(255) { writer.route(route) }
    }

    fileprivate static func decode(
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) -> EdgeTarget {
        var target = EdgeTarget(
            site: try reader.siteID(payload),
            cost: PathCost(try reader.uint32(payload)),
            weight: try reader.uint32(payload),
            isLastResort: try reader.flag(payload),
            routes: []
        )
        let absence = try reader.text8(.reason, payload)
        target.absence = FailoverReason(rawValue: absence)
        guard absence.isEmpty || target.absence != nil else { throw .invalid(.reason) }
        for _ in 0..<(try reader.uint8(payload)) {
            target.routes.append(try reader.route(payload))
        }
        return target
    }
}

/// One service port in a gateway's table.
package struct EdgeService: Hashable, Sendable {
    package var service: ServicePort
    package var connect: Duration
    package var idle: Duration
    package var halfClosed: Duration
    package var targets: [EdgeTarget]

    package init(
        service: ServicePort,
        connect: Duration,
        idle: Duration,
        halfClosed: Duration,
        targets: [EdgeTarget]
    ) {
        self.service = service
        self.connect = connect
        self.idle = idle
        self.halfClosed = halfClosed
        self.targets = targets
    }

    var encodedSize: Int {
        service.encodedSize + 26 + targets.reduce(0) { $0 + $1.encodedSize }
    }
}

/// The name that a site gives itself.
package struct EdgeSiteName: Hashable, Sendable {
    package var site: SiteID
    package var name: String

    package init(site: SiteID, name: String) {
        self.site = site
        self.name = name
    }
}

/// What a gateway tells an attached edge: services, their targets, names.
///
/// A table too long for one frame is sent in several of the same generation; the edge applies it with the last.
///
/// | bytes | field |
/// |---|---|
/// | 8 | generation, increasing |
/// | 1 | 1: the first frame of a table that replaces everything; 0: changes, or a continuation |
/// | 1 | 1: the last frame of this generation |
/// | 2 | number of services, at most 4,096 |
/// | ... | services: address (1 + n), port name (1 + n), connect, idle, half-closed (8 each), number of targets (2), targets: SiteID (26), path cost (4), weight (4), last resort (1), absence (1 + n), number of routes (1), routes (1 + 34 n each) |
/// | 2 | number of removed services |
/// | ... | removed services: address (1 + n), port name (1 + n) |
/// | 2 | number of names |
/// | ... | names: SiteID (26), name (1 + n) |
package struct EdgeTable: Hashable, Sendable {
    package var generation: UInt64
    package var replacesAll: Bool
    package var isLast: Bool
    package var services: [EdgeService]
    package var removed: [ServicePort]
    package var names: [EdgeSiteName]

    package init(
        generation: UInt64,
        replacesAll: Bool,
        isLast: Bool = true,
        services: [EdgeService] = [],
        removed: [ServicePort] = [],
        names: [EdgeSiteName] = []
    ) {
        self.generation = generation
        self.replacesAll = replacesAll
        self.isLast = isLast
        self.services = services
        self.removed = removed
        self.names = names
    }

    /// The same table in frames that each stay below the payload limit.
    package func fragments() -> [EdgeTable] {
        var fragments: [EdgeTable] = []
        var current = EdgeTable(generation: generation, replacesAll: replacesAll, isLast: false)
        var size = 0
        func room(_ bytes: Int, _ count: Int) {
            if size + bytes > WireLimit.listPayload || count >= WireLimit.list, size > 0 {
                fragments.append(current)
                current = EdgeTable(generation: generation, replacesAll: false, isLast: false)
                size = 0
            }
            size += bytes
        }
        for service in services {
            room(service.encodedSize, current.services.count)
            current.services.append(service)
        }
        for service in removed {
            room(service.encodedSize, current.removed.count)
            current.removed.append(service)
        }
        for name in names {
            room(27 + name.name.utf8.count, current.names.count)
            current.names.append(name)
        }
        current.isLast = true
        fragments.append(current)
        return fragments
    }

    /// Writes one fragment.
    package func encode(into writer: inout FrameWriter) {
        writer.uint64(generation)
        writer.flag(replacesAll)
        writer.flag(isLast)
        writer.count16(services.count)
        for service in services {
            writer.servicePort(service.service)
            writer.duration(service.connect)
            writer.duration(service.idle)
            writer.duration(service.halfClosed)
            writer.count16(service.targets.count)
            for target in service.targets { target.encode(into: &writer) }
        }
        writer.count16(removed.count)
        for service in removed { writer.servicePort(service) }
        writer.count16(names.count)
        for name in names {
            writer.siteID(name.site)
            writer.text8(name.name)
        }
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> EdgeTable {
        var reader = FrameReader()
        var table = EdgeTable(
            generation: try reader.uint64(payload),
            replacesAll: try reader.flag(payload),
            isLast: try reader.flag(payload)
        )
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            table.services.append(try service(&reader, payload))
        }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            table.removed.append(try reader.servicePort(payload))
        }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            table.names.append(
                EdgeSiteName(
                    site: try reader.siteID(payload),
                    name: try reader.text8(.text, payload)
                )
            )
        }
        try reader.finish(payload)
        return table
    }

    private static func service(
        _ reader: inout FrameReader,
        _ payload: RawSpan
    ) throws(WireError) -> EdgeService {
        var service = EdgeService(
            service: try reader.servicePort(payload),
            connect: try reader.duration(payload),
            idle: try reader.duration(payload),
            halfClosed: try reader.duration(payload),
            targets: []
        )
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            service.targets.append(try EdgeTarget.decode(&reader, payload))
        }
        return service
    }
}

/// Says that an edge applied a table.
///
/// | bytes | field |
/// |---|---|
/// | 8 | generation |
package struct EdgeTableAcknowledgement: Hashable, Sendable {
    package var generation: UInt64

    package init(generation: UInt64) { self.generation = generation }

    package func encode(into writer: inout FrameWriter) { writer.uint64(generation) }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Self {
        var reader = FrameReader()
        let acknowledgement = Self(generation: try reader.uint64(payload))
        try reader.finish(payload)
        return acknowledgement
    }
}

/// What an edge counted and saw since its start, for the snapshot of its gateways.
///
/// Counters are cumulative and records are numbered, so a report may be repeated.
///
/// | bytes | field |
/// |---|---|
/// | 2 | number of counters, at most 4,096 |
/// | ... | counters: service address (1 + n), port name (1 + n), active, opened, failed, interrupted (8 each) |
/// | 2 | number of failover records, at most 4,096 |
/// | ... | records: sequence (8), service address (1 + n), port name (1 + n), from (26), to (26), reason (1 + n), age in microseconds (8), lost (4), resumed (4), duration in microseconds (8) |
package struct EdgeReport: Hashable, Sendable {
    package struct Counter: Hashable, Sendable {
        package var service: ServicePort
        package var active: UInt64
        package var opened: UInt64
        package var failed: UInt64
        package var interrupted: UInt64

        package init(
            service: ServicePort,
            active: UInt64,
            opened: UInt64,
            failed: UInt64,
            interrupted: UInt64
        ) {
            self.service = service
            self.active = active
            self.opened = opened
            self.failed = failed
            self.interrupted = interrupted
        }
    }

    package var counters: [Counter]
    package var failovers: [FailoverRecord]

    package init(counters: [Counter] = [], failovers: [FailoverRecord] = []) {
        self.counters = counters
        self.failovers = failovers
    }

    /// Writes one frame; the caller passes no more than fits (`fragments`).
    ///
    /// Clocks differ between proxies: times travel as ages, measured at `now`.
    package func encode(into writer: inout FrameWriter, at now: Instant) {
        writer.count16(counters.count)
        for counter in counters {
            writer.servicePort(counter.service)
            writer.uint64(counter.active)
            writer.uint64(counter.opened)
            writer.uint64(counter.failed)
            writer.uint64(counter.interrupted)
        }
        writer.count16(failovers.count)
        for record in failovers {
            writer.uint64(record.sequence)
            writer.servicePort(record.service)
            writer.siteID(record.from)
            writer.siteID(record.to)
            writer.text8(record.reason.rawValue)
            writer.duration(now - record.at)
            writer.uint32(record.lost)
            writer.uint32(record.resumed)
            writer.duration(record.duration)
        }
    }

    /// The same report in frames that each stay below the payload limit.
    package func fragments() -> [EdgeReport] {
        let perFrame = 100
        var fragments: [EdgeReport] = []
        for start in stride(from: 0, to: counters.count, by: perFrame) {
            fragments.append(
                EdgeReport(
                    counters: Array(counters[start..<min(start + perFrame, counters.count)])
                )
            )
        }
        for start in stride(from: 0, to: failovers.count, by: perFrame) {
            fragments.append(
                EdgeReport(
                    failovers: Array(failovers[start..<min(start + perFrame, failovers.count)])
                )
            )
        }
        return fragments
    }

    package static func decode(
        _ payload: RawSpan,
        at now: Instant
    ) throws(WireError) -> EdgeReport {
        var reader = FrameReader()
        var report = EdgeReport()
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            report.counters.append(
                Counter(
                    service: try reader.servicePort(payload),
                    active: try reader.uint64(payload),
                    opened: try reader.uint64(payload),
                    failed: try reader.uint64(payload),
                    interrupted: try reader.uint64(payload)
                )
            )
        }
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            report.failovers.append(try record(&reader, payload, at: now))
        }
        try reader.finish(payload)
        return report
    }

    private static func record(
        _ reader: inout FrameReader,
        _ payload: RawSpan,
        at now: Instant
    ) throws(WireError) -> FailoverRecord {
        let sequence = try reader.uint64(payload)
        let service = try reader.servicePort(payload)
        let from = try reader.siteID(payload)
        let to = try reader.siteID(payload)
        guard let reason = FailoverReason(rawValue: try reader.text8(.reason, payload)) else {
            throw .invalid(.reason)
        }
        let age = try reader.duration(payload)
        return FailoverRecord(
            sequence: sequence,
            service: service,
            from: from,
            to: to,
            reason: reason,
            at: now + (.zero - age),
            lost: try reader.uint32(payload),
            resumed: try reader.uint32(payload),
            duration: try reader.duration(payload)
        )
    }
}
