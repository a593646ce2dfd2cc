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
    /// What is observed is another, and no better: paced while it keeps changing.
    case observation
    /// Something that was not so far has come true, such as Ready: written at once.
    case improvement
    /// Something is counted that must be stored before the next one is: written at once.
    case booking
    /// It speaks of another spec: written at once.
    case answer
    /// It says of another spec only that this is worked on, which everybody sees from the generations: held back for a moment, in
    /// which the answer comes as a rule.
    case progress
}

/// Decides when a status is written, so that what moves all the time costs a bounded number of writes.
///
/// The first change of an object is written at once; while it keeps changing, bad news waits until some seconds after
/// the write before. All counters share one budget. Those that wait have places in it, by the time at which they may be written: the oldest
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

    /// How long bad news waits after the write before: twice as long each time.
    static let gaps: ClosedRange<Duration> = .seconds(2) ... .seconds(10)
    /// An object that did not change for so long is written at once again.
    static let calm: Duration = .seconds(20)

    /// For so long an answer is waited for before it is told that one is worked on.
    static let holdback: Duration = .seconds(1)

    /// When the budget allows the next write of counters.
    private var nextFree = Instant(nanoseconds: 0)
    private var waiting: [ObjectPlace: Waiting] = [:]
    private var asked: UInt64 = 0
    private var changes: [ObjectPlace: Changes] = [:]
    /// Since when an answer has been waited for.
    private var unanswered: [ObjectPlace: Instant] = [:]

    /// The writes of an object that keeps changing.
    private struct Changes {
        var last: Instant
        var gap: Duration
    }

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
        if difference != .progress { unanswered[object] = nil }
        switch difference {
        case .none:
            waiting[object] = nil
            return .skip
        case .answer, .booking, .improvement:
            waiting[object] = nil
            return .write
        case .progress:
            waiting[object] = nil
            let since = unanswered[object] ?? now
            unanswered[object] = since
            let due = since + Self.holdback
            return now < due ? .wait(due - now) : .write
        case .observation:
            waiting[object] = nil
            guard let before = changes[object], now - before.last < Self.calm,
                now < before.last + before.gap
            else { return .write }
            return .wait(before.last + before.gap - now)
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

    /// A status that differed like this is stored now.
    mutating func wrote(_ object: ObjectPlace, _ difference: StatusDifference, at now: Instant) {
        switch difference {
        case .observation, .improvement: break
        case .answer, .progress:
            // Whoever changes the spec wants to see what comes of it.
            changes[object] = nil
            unanswered[object] = nil
            return
        case .none, .measurement, .fewCounts, .manyCounts, .booking: return
        }
        let before = changes[object].flatMap { now - $0.last < Self.calm ? $0 : nil }
        let gap = before.map { min($0.gap * 2, Self.gaps.upperBound) } ?? Self.gaps.lowerBound
        changes[object] = Changes(last: now, gap: gap)
    }

    /// An object that is gone waits no more.
    mutating func forget(_ object: ObjectPlace) {
        waiting[object] = nil
        changes[object] = nil
        unanswered[object] = nil
    }

    /// When the budget has a place for `entry`, after all that were due before it.
    private func turn(of entry: Waiting, at now: Instant) -> Instant {
        let ahead = waiting.values.count { other in
            !other.isMeasurement && other.isBefore(entry) && now < other.turn + Self.patience
        }
        let first = max(nextFree, now)
        return first + Self.interval * ahead
    }
}
