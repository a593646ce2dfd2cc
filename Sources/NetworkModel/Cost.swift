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

/// The sum of the link costs along a path; saturates at `unreachable` and never wraps.
package struct PathCost: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// A local workload's path cost.
    package static let zero = PathCost(0)
    package static let unreachable = PathCost(.max)

    package let value: UInt32

    /// What people are told: the sum of the path's links; nil while there is no path.
    package var ofPath: UInt32? { self == .unreachable ? nil : value }

    package init(_ value: UInt32) { self.value = value }
    package init(_ cost: LinkCost) { value = UInt32(cost.value) }

    package static func + (left: Self, right: Self) -> Self {
        let (sum, overflow) = left.value.addingReportingOverflow(right.value)
        return overflow ? .unreachable : PathCost(sum)
    }

    package static func + (left: Self, right: LinkCost) -> Self { left + PathCost(right) }

    package var description: String { self == .unreachable ? "unreachable" : "\(value)" }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}
