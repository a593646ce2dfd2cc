import NetworkModel

/// When the services whose counts changed are looked at: at once after quiet, then at most every 50 ms, as siblings and
/// sidecars hear of them.
struct ReportPace: Sendable {
    private(set) var nextDeadline: Instant?
    private var last = Instant(nanoseconds: 0)
    private static let interval: Duration = .milliseconds(50)

    mutating func changed(at now: Instant) {
        guard nextDeadline == nil else { return }
        nextDeadline = max(last + Self.interval, now)
    }

    /// True when it is time.
    mutating func take(at now: Instant) -> Bool {
        guard let deadline = nextDeadline, deadline <= now else { return false }
        nextDeadline = nil
        last = now
        return true
    }
}

/// Service ports that were taken out of the configuration.
struct Leaving: Equatable, Sendable {
    var services: Set<ServicePort> = []
    /// Those of them that were not renamed: their connections are reset.
    var ended: Set<ServicePort> = []
    /// The view that tells every loop what is there instead.
    var view: UInt64?

    var isEmpty: Bool { services.isEmpty }
}
