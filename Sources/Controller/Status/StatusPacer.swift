import KubernetesAPI
import NetworkModel

/// How much a status that is to be written differs from the one that is stored.
enum StatusDifference: Equatable {
    case none
    /// Only a measurement moved, such as a round trip.
    case measurement
    /// Only counters moved, and not by much.
    case fewCounts
    /// Only counters moved: the active ones by more than a tenth, or from or to zero.
    case manyCounts
    /// Anything else: it is written at once.
    case meaning
}

/// Decides when a status is written, so that moving counters cost a bounded number of writes.
///
/// All counters share one budget. Those that wait have places in it, by the time at which they may be written: the oldest
/// is written first, and each is told to come back when its turn is expected, not all at the same moment.
struct StatusPacer {
    enum Decision: Equatable {
        case skip
        case write
        /// Ask again after this time.
        case wait(Duration)
    }

    /// Five writes of counters a second.
    static let interval: Duration = .milliseconds(200)
    /// One that does not come back for so long after its turn has no place any more.
    private static let patience: Duration = .seconds(1)

    /// When the budget allows the next write of counters.
    private var nextFree = Instant(nanoseconds: 0)
    private var waiting: [ObjectPlace: Waiting] = [:]
    private var asked: UInt64 = 0

    /// An object of one kind.
    struct ObjectPlace: Hashable {
        var kind: String
        var key: ObjectKey
    }

    private struct Waiting {
        /// From when on it may be written.
        var due: Instant
        /// Among those of the same time, the one that asked first comes first.
        let number: UInt64
        /// When it was told to come back.
        var turn: Instant
        var isMeasurement: Bool

        func isBefore(_ other: Waiting) -> Bool { (due, number) < (other.due, other.number) }
    }

    /// Objects that wait for their turn.
    var count: Int { waiting.count }

    mutating func decide(
        _ object: ObjectPlace,
        _ difference: StatusDifference,
        at now: Instant
    ) -> Decision {
        let delay: Duration
        switch difference {
        case .none:
            waiting[object] = nil
            return .skip
        case .meaning:
            waiting[object] = nil
            return .write
        case .measurement: delay = .seconds(60)
        case .fewCounts: delay = .seconds(1)
        case .manyCounts: delay = .milliseconds(400)
        }
        // Asking again never moves an object back, and reserves nothing: the budget is spent by writes alone.
        asked += 1
        let number = waiting[object]?.number ?? asked
        var entry = Waiting(
            due: min(waiting[object]?.due ?? now + delay, now + delay),
            number: number,
            turn: now,
            isMeasurement: difference == .measurement
        )
        entry.turn = entry.isMeasurement ? entry.due : max(entry.due, turn(of: entry, at: now))
        guard entry.turn <= now else {
            waiting[object] = entry
            return .wait(entry.turn - now)
        }
        waiting[object] = nil
        if !entry.isMeasurement { nextFree = now + Self.interval }
        return .write
    }

    /// An object that is gone waits no more.
    mutating func forget(_ object: ObjectPlace) { waiting[object] = nil }

    /// When the budget has a place for `entry`, after all that were due before it.
    private func turn(of entry: Waiting, at now: Instant) -> Instant {
        let ahead = waiting.values.count { other in
            !other.isMeasurement && other.isBefore(entry) && now < other.turn + Self.patience
        }
        let first = max(nextFree, now)
        return first + Self.interval * ahead
    }
}
