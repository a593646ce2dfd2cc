import Synchronization

/// How short memory is; each step with what is done at those before.
enum MemoryPressure: UInt8, Comparable, CaseIterable, Sendable {
    case none
    /// Windows grow no more, begin small and shrink.
    case windows
    /// New connections and streams are refused.
    case newStreams
    /// The youngest are reset.
    case streams

    /// In percent of the budget.
    private var threshold: UInt64 {
        switch self {
        case .none: 0
        case .windows: 60
        case .newStreams: 75
        case .streams: 85
        }
    }

    init(used: UInt64, of budget: UInt64) {
        let percent = used / max(budget / 100, 1)
        self = Self.allCases.last { percent >= $0.threshold } ?? .none
    }

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What a proxy plans with, and how much of it is used: told by loop 0, known to all.
final class MemoryBudget: Sendable {
    private let budget = Atomic<UInt64>(0)
    private let use = Atomic<UInt64>(0)
    private let step = Atomic<UInt8>(0)

    /// Bytes; nil: nothing limits it.
    var limit: UInt64? {
        let limit = budget.load(ordering: .relaxed)
        return limit == 0 ? nil : limit
    }

    var used: UInt64 { use.load(ordering: .relaxed) }

    var pressure: MemoryPressure {
        MemoryPressure(rawValue: step.load(ordering: .relaxed)) ?? .none
    }

    func set(limit: UInt64?) { budget.store(limit ?? 0, ordering: .relaxed) }

    func set(used: UInt64) {
        use.store(used, ordering: .relaxed)
        let pressure = limit.map { MemoryPressure(used: used, of: $0) } ?? .none
        step.store(pressure.rawValue, ordering: .relaxed)
    }
}
