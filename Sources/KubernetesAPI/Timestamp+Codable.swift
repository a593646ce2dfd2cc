package import NetworkModel

extension Timestamp: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\"\(text)\" is not a time in the form of RFC 3339"
            )
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A time that is written with microseconds (`MicroTime` of the API).
package struct MicroTimestamp: Hashable, Sendable, Codable {
    package let time: Timestamp

    package init(_ time: Timestamp) { self.time = time }

    package init(from decoder: any Decoder) throws {
        time = try Timestamp(from: decoder)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(time.precise)
    }
}
