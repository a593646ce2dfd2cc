import KubernetesAPI
import NetworkModel

/// How much a status that is to be written differs from the one that is stored.
enum StatusDifference: Equatable {
    case none
    /// Only counters moved, and not by much.
    case fewCounts
    /// Only counters moved: the active ones by more than a tenth, or from or to zero.
    case manyCounts
    /// Anything else: it is written at once.
    case meaning
}

/// Decides when a status is written, so that moving counters cost a bounded number of writes.
///
/// All counters share one budget; whoever asked first is served first.
struct StatusPacer {
    enum Decision: Equatable {
        case skip
        case write
        /// Ask again after this time.
        case wait(Duration)
    }

    /// Five writes of counters a second.
    static let interval: Duration = .milliseconds(200)
    private static let patience: (few: Duration, many: Duration) = (.seconds(1), .milliseconds(400))

    /// When the next free place in the budget is.
    private var nextPlace = Instant(nanoseconds: 0)
    /// The place that each waiting object has.
    private var places: [ObjectPlace: Instant] = [:]

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
        let wish: Duration
        switch difference {
        case .none:
            places[object] = nil
            return .skip
        case .meaning:
            places[object] = nil
            return .write
        case .fewCounts: wish = Self.patience.few
        case .manyCounts: wish = Self.patience.many
        }
        if let place = places[object] {
            guard place <= now else { return .wait(place - now) }
            places[object] = nil
            return .write
        }
        let place = max(nextPlace, now + wish)
        nextPlace = place + Self.interval
        places[object] = place
        return .wait(place - now)
    }
}
