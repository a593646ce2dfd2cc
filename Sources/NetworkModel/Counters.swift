extension UInt64 {
    /// The most that one proxy may say to have counted: sums over 65,535 proxies fit into 64 bits.
    package static let counterLimit: UInt64 = 1 << 48
}

extension FixedWidthInteger {
    /// The sum, or the limit of the type that it is beyond.
    package func addingSaturated(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        guard overflow else { return sum }
        return other < 0 ? .min : .max
    }
}

extension Sequence {
    /// The sum of a number of each element, or the limit of its type.
    package func saturatedSum<Number: FixedWidthInteger>(_ number: (Element) -> Number) -> Number {
        reduce(0) { $0.addingSaturated(number($1)) }
    }
}
