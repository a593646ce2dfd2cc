import NetworkModel

// A snapshot crosses from one process to another: what is decoded is bounded, so that no sum, product or date made of it
// stops its reader.

/// A number that something was counted up to, at most `UInt64.counterLimit`: more is refused when decoded, and never written.
@propertyWrapper
package struct Counted: Hashable, Sendable, Codable {
    private var value: UInt64

    package init(wrappedValue: UInt64) { value = min(wrappedValue, .counterLimit) }

    package var wrappedValue: UInt64 {
        get { value }
        set { value = min(newValue, .counterLimit) }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        value = try container.decode(UInt64.self)
        guard value <= .counterLimit else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\(value) is beyond what anyone counts"
            )
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// Seconds since 1970, before the year 10,000.
@propertyWrapper
package struct WallTime: Hashable, Sendable, Codable {
    private static let range: ClosedRange<Double> = 0...253_402_300_799

    private var value: Double

    package init(wrappedValue: Double) { value = Self.clamped(wrappedValue) }

    package var wrappedValue: Double {
        get { value }
        set { value = Self.clamped(newValue) }
    }

    /// What is no number becomes 0.
    private static func clamped(_ value: Double) -> Double {
        value >= range.lowerBound ? min(value, range.upperBound) : range.lowerBound
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        value = try container.decode(Double.self)
        guard Self.range.contains(value) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\(value) is not a time between 1970 and 9999"
            )
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
