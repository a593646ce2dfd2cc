import NetworkModel
import ProxyContract
import Wire

/// What a sidecar tells its gateways of its connections: what has changed, all of it after a gateway came or went.
struct SidecarReporter: Sendable {
    private var reported: [ServicePort: ServiceCounters] = [:]
    private var reportedSequence: UInt64 = 0
    private var needsAll = true
    private(set) var nextDeadline: Instant?
    private static let interval: Duration = .milliseconds(500)

    mutating func start(at now: Instant) { nextDeadline = now + Self.interval }

    /// A gateway may not have what was reported.
    mutating func tellAll() { needsAll = true }

    mutating func handleDeadline(
        _ counters: [ServiceCounters],
        _ failovers: [FailoverRecord],
        to gateways: [ProxyID],
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        guard let deadline = nextDeadline, deadline <= turn.now else { return }
        nextDeadline = turn.now + Self.interval
        let changed = counters.filter { needsAll || reported[$0.service] != $0 }
        let records = failovers.filter { needsAll || $0.sequence > reportedSequence }
        guard !gateways.isEmpty, !changed.isEmpty || !records.isEmpty else { return }
        let report = SidecarReport(
            counters: changed.map {
                SidecarReport.Counter(
                    service: $0.service,
                    active: $0.active,
                    opened: $0.opened,
                    failed: $0.failed,
                    interrupted: $0.interrupted
                )
            },
            failovers: records
        )
        for fragment in report.fragments() {
            var writer = FrameWriter()
            fragment.encode(into: &writer, at: turn.now)
            for gateway in gateways {
                lanes.send(.report, writer.bytes, to: gateway, &turn)
            }
        }
        for counter in counters { reported[counter.service] = counter }
        reportedSequence = records.last?.sequence ?? reportedSequence
        needsAll = false
    }
}
