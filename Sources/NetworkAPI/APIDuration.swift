import NetworkModel

/// A duration in a manifest: `250ms`, `5s`, `1h30m`.
///
/// One or more decimal numbers, each with one of the units `h`, `m`, `s`, `ms`, `us`. The text is kept as it was
/// written, so that an object that is read and written again stays the same.
package struct APIDuration: Hashable, Sendable, Codable, CustomStringConvertible {
    package let text: String
    package let duration: Duration

    /// Fails unless `text` is a duration as described above, of less than 292 years.
    package init?(_ text: String) {
        guard let duration = Self.parse(text) else { return nil }
        self.text = text
        self.duration = duration
    }

    /// Writes `duration` in its largest whole units: 90 s as `1m30s`; negative ones as `0s`.
    package init(_ duration: Duration) {
        self.duration = duration
        text = Self.format(duration)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription:
                    "\"\(text)\" is not a duration; write for example 250ms, 5s or 1h30m"
            )
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    package var description: String { text }

    /// The units, in nanoseconds, in the order in which `format` uses them.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
        ("us", 1_000),
    ]

    private static func parse(_ text: String) -> Duration? {
        var rest = text.utf8[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let whole = rest.prefix(while: isDigit)
            rest = rest.dropFirst(whole.count)
            var fraction = rest.prefix(0)
            if rest.first == UInt8(ascii: ".") {
                fraction = rest.dropFirst().prefix(while: isDigit)
                guard !fraction.isEmpty else { return nil }
                rest = rest.dropFirst(1 + fraction.count)
            }
            let letters = rest.prefix { !isDigit($0) && $0 != UInt8(ascii: ".") }
            rest = rest.dropFirst(letters.count)
            guard (1...9).contains(whole.count), fraction.count <= 9,
                let count = Int64(String(whole) ?? ""),
                let unit = units.first(where: { $0.name.utf8.elementsEqual(letters) })
            else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
            let (sum, carried) = total.addingReportingOverflow(product)
            guard !overflow, !carried else { return nil }
            total = sum
            var scale = unit.nanoseconds
            for digit in fraction {
                scale /= 10
                total += Int64(digit - UInt8(ascii: "0")) * scale
            }
        }
        return .nanoseconds(total)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func format(_ duration: Duration) -> String {
        var rest = max(duration.wholeNanoseconds, 0)
        var text = ""
        for unit in units where rest >= unit.nanoseconds {
            text += "\(rest / unit.nanoseconds)\(unit.name)"
            rest %= unit.nanoseconds
        }
        return text.isEmpty ? "0s" : text
    }
}
