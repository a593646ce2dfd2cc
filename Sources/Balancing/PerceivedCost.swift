package import NetworkModel

/// cost + open / weight as an exact fraction, so that targets are compared without rounding.
package struct PerceivedCost: Comparable, Sendable {
    /// cost x weight + open: below 2^65.
    private let numerator: UInt128
    private let weight: UInt32

    /// `weight` is at least 1.
    package init(cost: PathCost, open: UInt64, weight: UInt32) {
        precondition(weight > 0, "a target without endpoints has no perceived cost")
        numerator = UInt128(cost.value) * UInt128(weight) + UInt128(open)
        self.weight = weight
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.numerator * UInt128(right.weight) == right.numerator * UInt128(left.weight)
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.numerator * UInt128(right.weight) < right.numerator * UInt128(left.weight)
    }
}
