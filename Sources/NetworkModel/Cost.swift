/// The configured cost of one link: 1...1,000,000, in connections per endpoint.
///
/// A link of cost 20 is used once the targets before it hold 20 more connections per ready endpoint.
package struct LinkCost: Hashable, Comparable, Sendable, CustomStringConvertible {
    package static let range: ClosedRange<Int32> = 1...1_000_000
    package static let standard = LinkCost(unchecked: 1)

    package let value: Int32

    /// Fails outside of `range`.
    package init?(_ value: Int32) {
        guard Self.range.contains(value) else { return nil }
        self.init(unchecked: value)
    }

    private init(unchecked value: Int32) { self.value = value }

    package var description: String { "\(value)" }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// The sum of the link costs along a path; where there is no path there is none.
///
/// Sums stop at the largest number, and never wrap.
package struct PathCost: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// A local workload's path cost.
    package static let zero = PathCost(0)

    package let value: UInt32

    package init(_ value: UInt32) { self.value = value }
    package init(_ cost: LinkCost) { value = UInt32(cost.value) }

    package static func + (left: Self, right: Self) -> Self {
        let (sum, overflow) = left.value.addingReportingOverflow(right.value)
        return PathCost(overflow ? .max : sum)
    }

    package static func + (left: Self, right: LinkCost) -> Self { left + PathCost(right) }

    package var description: String { "\(value)" }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}
