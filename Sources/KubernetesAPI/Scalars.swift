/// A number or a name, such as the port of a probe or `targetPort`.
package enum IntOrString: Hashable, Sendable, Codable, CustomStringConvertible {
    case int(Int32)
    case string(String)

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int32.self) {
            self = .int(number)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .int(let number): try container.encode(number)
        case .string(let text): try container.encode(text)
        }
    }

    package var description: String {
        switch self {
        case .int(let number): String(number)
        case .string(let text): text
        }
    }
}

/// An amount such as `250m`, `64Mi` or `2`, kept as written.
package struct Quantity: Hashable, Sendable, Codable, CustomStringConvertible {
    package let description: String

    package init(_ text: String) { description = text }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            description = String(number)
        } else if let number = try? container.decode(Double.self) {
            description = String(number)
        } else {
            description = try container.decode(String.self)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// The amount in thousandths of the unit, rounded up; nil when it is not well formed.
    package var milli: Int64? {
        let text = description
        let number = text.prefix { $0.isNumber || $0 == "." || $0 == "-" || $0 == "+" }
        guard let value = Double(number) else { return nil }
        let suffix = text.dropFirst(number.count)
        let scale: Double? =
            switch suffix {
            case "": 1
            case "m": 1e-3
            case "u": 1e-6
            case "n": 1e-9
            case "k": 1e3
            case "M": 1e6
            case "G": 1e9
            case "T": 1e12
            case "P": 1e15
            case "E": 1e18
            case "Ki": 1024
            case "Mi": 1_048_576
            case "Gi": 1_073_741_824
            case "Ti": 1_099_511_627_776
            case "Pi": 1_125_899_906_842_624
            case let exponent where exponent.first == "e" || exponent.first == "E":
                // `1e3`: as Double reads it.
                Double("1\(exponent)")
            default: nil
            }
        guard let scale else { return nil }
        return Int64(exactly: (value * scale * 1000).rounded(.up))
    }

    /// The amount in whole units, rounded up.
    package var value: Int64? { milli.map { $0 <= 0 ? $0 / 1000 : ($0 - 1) / 1000 + 1 } }
}
