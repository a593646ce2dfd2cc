package import NetworkModel

/// cost + open / weight as an exact fraction, so that targets are compared without rounding.
package struct PerceivedCost: Comparable, Sendable {
    /// cost x weight + open, in thousandths of a weight: below 2^76.
    private let numerator: UInt128
    /// In thousandths: below 2^42.
    private let denominator: UInt64

    /// `weight` is at least 1; `thousandths` of it count, at least 1 and at most 1,000.
    package init(cost: PathCost, open: UInt64, weight: UInt32, thousandths: UInt32 = 1_000) {
        precondition(weight > 0 && thousandths > 0, "no perceived cost without a weight")
        if thousandths == 1_000 {
            denominator = UInt64(weight)
            numerator = UInt128(cost.value) * UInt128(weight) + UInt128(open)
        } else {
            denominator = UInt64(weight) * UInt64(thousandths)
            numerator = UInt128(cost.value) * UInt128(denominator) + UInt128(open) * 1_000
        }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.numerator * UInt128(right.denominator) == right.numerator * UInt128(left.denominator)
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.numerator * UInt128(right.denominator) < right.numerator * UInt128(left.denominator)
    }

    /// In lowest terms, for people: such as `41/2` and `60`.
    package var fraction: String {
        var (divisor, rest) = (numerator, UInt128(denominator))
        while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
        let (top, bottom) = (numerator / divisor, UInt128(denominator) / divisor)
        return bottom == 1 ? "\(top)" : "\(top)/\(bottom)"
    }

    /// Rounded to the next double, for people and metrics: never to compare.
    package var decimal: Double { Double(numerator) / Double(denominator) }
}
