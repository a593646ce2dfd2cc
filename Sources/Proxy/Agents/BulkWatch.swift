import NetworkModel

/// When to look at the streams of a lane for bulk, and when it has been empty for long enough.
///
/// A value without a clock.
struct BulkWatch {
    enum Step: Equatable {
        case nothing
        /// Streams that have rested since the last time go back.
        case rest
        /// No stream was there for `interval`.
        case close
    }

    static let interval: Duration = .seconds(10)

    private var lookedAt: Instant
    private var emptySince: Instant?

    init(at now: Instant) {
        lookedAt = now
        emptySince = now
    }

    mutating func look(isEmpty: Bool, at now: Instant) -> Step {
        emptySince = isEmpty ? emptySince ?? now : nil
        if let emptySince { return now - emptySince >= Self.interval ? .close : .nothing }
        guard now - lookedAt >= Self.interval else { return .nothing }
        lookedAt = now
        return .rest
    }
}
