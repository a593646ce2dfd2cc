import Synchronization

/// A number that only grows.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    package init() {}

    package func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How often values fell below each of some bounds; a value, which its owner protects.
package struct Distribution: Equatable, Sendable {
    /// Seconds, for what takes from a millisecond to ten seconds.
    package static let latencyBounds = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
    ]

    /// Upper bounds, ascending, inclusive.
    package let bounds: [Double]
    /// For each bound and then for everything above: how many values, not cumulative.
    package private(set) var counts: [UInt64]
    package private(set) var sum = 0.0

    package init(bounds: [Double] = Distribution.latencyBounds) {
        self.bounds = bounds.sorted()
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    package var count: UInt64 { counts.reduce(0, +) }

    package mutating func observe(_ value: Double) {
        guard value.isFinite else { return }
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }

    /// Takes in what another one of the same bounds counted.
    mutating func add(_ other: Distribution) {
        guard other.bounds == bounds else { return }
        for (index, count) in other.counts.enumerated() { counts[index] += count }
        sum += other.sum
    }
}

/// A distribution that any thread may add to.
package final class Histogram: Sendable {
    private let state: Mutex<Distribution>

    package init(bounds: [Double] = Distribution.latencyBounds) {
        state = Mutex(Distribution(bounds: bounds))
    }

    package func observe(_ value: Double) { state.withLock { $0.observe(value) } }

    package var reading: Distribution { state.withLock { $0 } }
}
