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
        let patience: Duration
        switch difference {
        case .none:
            places[object] = nil
            return .skip
        case .meaning:
            places[object] = nil
            return .write
        case .measurement: patience = .seconds(60)
        case .fewCounts: patience = .seconds(1)
        case .manyCounts: patience = .milliseconds(400)
        }
        if let place = places[object], place <= now {
            places[object] = nil
            return .write
        }
        // A place that was taken for something less pressing is given up for an earlier one.
        if places[object].map({ now + patience < $0 }) ?? true {
            var place = now + patience
            if difference != .measurement {
                place = max(place, nextPlace)
                nextPlace = place + Self.interval
            }
            places[object] = min(place, places[object] ?? place)
        }
        return .wait((places[object] ?? now) - now)
    }
}
