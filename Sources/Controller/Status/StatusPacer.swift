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
/// All counters share one budget.
struct StatusPacer {
    enum Decision: Equatable {
        case skip
        case write
        /// Ask again after this time.
        case wait(Duration)
    }

    /// Five writes of counters a second.
    static let interval: Duration = .milliseconds(200)

    /// When the budget allows the next write of counters.
    private var nextFree = Instant(nanoseconds: 0)
    /// Since when each waiting object may be written.
    private var due: [ObjectPlace: Instant] = [:]

    /// An object of one kind.
    struct ObjectPlace: Hashable {
        var kind: String
        var key: ObjectKey
    }

    mutating func decide(
        _ object: ObjectPlace,
        _ difference: StatusDifference,
        at now: Instant
    ) -> Decision {
        let patience: Duration
        switch difference {
        case .none:
            due[object] = nil
            return .skip
        case .meaning:
            due[object] = nil
            return .write
        case .measurement: patience = .seconds(60)
        case .fewCounts: patience = .seconds(1)
        case .manyCounts: patience = .milliseconds(400)
        }
        // Asking again never moves an object back, and reserves nothing: the budget is spent by writes alone.
        let deadline = min(due[object] ?? now + patience, now + patience)
        due[object] = deadline
        let place = difference == .measurement ? deadline : max(deadline, nextFree)
        guard place <= now else { return .wait(place - now) }
        due[object] = nil
        if difference != .measurement { nextFree = now + Self.interval }
        return .write
    }
}
