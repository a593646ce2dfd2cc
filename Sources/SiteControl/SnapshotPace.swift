import NetworkModel

/// When the snapshot is built: a little after something that it shows may have changed, at most five times a second.
///
/// Figures that nobody announces (round trips, streams per lane) reach it once a second. Pure.
struct SnapshotPace: Sendable {
    private enum State: Sendable {
        /// Can become: waiting.
        case idle
        /// Can become: measuring.
        case waiting(until: Instant)
        /// The loops' figures were asked for. Can become: building.
        case measuring
        /// A few services are looked at in each step. Can become: idle, waiting.
        case building(next: Instant)
    }

    private var state = State.idle
    /// Something changed since the figures were asked for.
    private var hasChanged = false
    private var tickAt: Instant?
    private static let interval: Duration = .milliseconds(200)
    private static let tick: Duration = .seconds(1)

    /// When `handleDeadline` has to be called.
    var nextDeadline: Instant? {
        switch state {
        case .idle, .measuring: tickAt
        case .waiting(let until): [until, tickAt].compactMap(\.self).min()
        case .building(let next): next
        }
    }

    mutating func start(at now: Instant) { tickAt = now + Self.tick }

    mutating func changed(at now: Instant) {
        switch state {
        case .idle: state = .waiting(until: now + Self.interval)
        case .waiting: break
        case .measuring, .building: hasChanged = true
        }
    }

    /// What is due: to ask for figures, or to build.
    enum Due: Equatable { case nothing, measure, build }

    mutating func handleDeadline(_ now: Instant) -> Due {
        if let tickAt, tickAt <= now {
            self.tickAt = now + Self.tick
            changed(at: now)
        }
        switch state {
        case .waiting(let until) where until <= now:
            state = .measuring
            hasChanged = false
            return .measure
        case .building(let next) where next <= now: return .build
        default: return .nothing
        }
    }

    /// The figures came.
    mutating func measured(at now: Instant) {
        if case .measuring = state { state = .building(next: now) }
    }

    mutating func built(_ isWhole: Bool, at now: Instant) {
        guard isWhole else {
            state = .building(next: now)
            return
        }
        state = hasChanged ? .waiting(until: now + Self.interval) : .idle
        hasChanged = false
    }
}
