package import NetworkModel

/// What a sidecar counted and saw since its start, for the snapshot of its gateways.
///
/// Counters are cumulative and records are numbered, so a report may be repeated.
///
/// | bytes | field |
/// |---|---|
/// | 2 | number of counters, at most 4,096 |
/// | ... | counters: service address (1 + n), port name (1 + n), active, opened, failed, interrupted (8 each, at most 2^48) |
/// | 2 | number of failover records, at most 4,096 |
/// | ... | records: sequence (8), service address (1 + n), port name (1 + n), from (26), to (26), reason (1 + n), age in microseconds (8), lost (4), resumed (4), duration in microseconds (8) |
package struct SidecarReport: Hashable, Sendable {
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

        fileprivate func encode(into writer: inout FrameWriter) {
            writer.servicePort(service)
            writer.counter(active)
            writer.counter(opened)
            writer.counter(failed)
            writer.counter(interrupted)
        }
    }

    package var counters: [Counter]
    package var failovers: [FailoverRecord]

    package init(counters: [Counter] = [], failovers: [FailoverRecord] = []) {
        self.counters = counters
        self.failovers = failovers
    }

    /// The same report in frames that each fit.
    package func fragments() -> [SidecarReport] {
        var packer = ListPacker(first: SidecarReport(), next: SidecarReport())
        for counter in counters { packer.add(counter.encode) { $0.counters.append(counter) } }
        for record in failovers {
            packer.add {
                $0.record(record, at: record.at)
            } _: {
                $0.failovers.append(record)
            }
        }
        return packer.frames
    }

    /// Writes one fragment.
    ///
    /// Clocks differ between proxies: times travel as ages, measured at `now`.
    package func encode(into writer: inout FrameWriter, at now: Instant) {
        writer.count16(counters.count)
        for counter in counters { counter.encode(into: &writer) }
        writer.count16(failovers.count)
        for record in failovers { writer.record(record, at: now) }
    }

    package static func decode(
        _ payload: RawSpan,
        at now: Instant
    ) throws(WireError) -> SidecarReport {
        var reader = FrameReader()
        var report = SidecarReport()
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            report.counters.append(
                Counter(
                    service: try reader.servicePort(payload),
                    active: try reader.counter(payload),
                    opened: try reader.counter(payload),
                    failed: try reader.counter(payload),
                    interrupted: try reader.counter(payload)
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
        guard let reason = FailoverReason(written: try reader.text8(.reason, payload)) else {
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

extension FrameWriter {
    fileprivate mutating func record(_ record: FailoverRecord, at now: Instant) {
        uint64(record.sequence)
        servicePort(record.service)
        siteID(record.from)
        siteID(record.to)
        text8(record.reason.rawValue)
        duration(now - record.at)
        uint32(record.lost)
        uint32(record.resumed)
        duration(record.duration)
    }
}
