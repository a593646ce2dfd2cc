package import NetworkModel

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

/// A time of day before the year 10,000, written as seconds since 1970.
@propertyWrapper
package struct WallTime: Hashable, Sendable, Codable {
    private static let range = Timestamp.epoch...Timestamp(seconds: 253_402_300_799)

    private var value: Timestamp

    package init(wrappedValue: Timestamp) { value = Self.clamped(wrappedValue) }

    package var wrappedValue: Timestamp {
        get { value }
        set { value = Self.clamped(newValue) }
    }

    private static func clamped(_ value: Timestamp) -> Timestamp {
        min(max(value, range.lowerBound), range.upperBound)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let seconds = try container.decode(Double.self)
        let last = Double(Self.range.upperBound.seconds)
        guard (0...last).contains(seconds) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\(seconds) is not a time between 1970 and 9999"
            )
        }
        value = Timestamp(microseconds: Int64((seconds * 1_000_000).rounded()))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Double(value.microseconds) / 1_000_000)
    }
}
