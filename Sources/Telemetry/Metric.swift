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

/// How often values fell below each of some bounds.
package final class Histogram: Sendable {
    /// Seconds, for what takes from a millisecond to ten seconds.
    package static let latencyBounds = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
    ]

    package struct Reading: Sendable {
        /// For each bound and then for everything above: how many values, not cumulative.
        package var counts: [UInt64]
        package var sum = 0.0
    }

    /// Upper bounds, ascending, inclusive.
    package let bounds: [Double]
    private let state: Mutex<Reading>

    package init(bounds: [Double] = Histogram.latencyBounds) {
        self.bounds = bounds.sorted()
        state = Mutex(Reading(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        guard value.isFinite else { return }
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { reading in
            reading.counts[index] += 1
            reading.sum += value
        }
    }

    package var reading: Reading { state.withLock { $0 } }
}
