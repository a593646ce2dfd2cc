import NetworkModel
package import Routing

/// Acknowledges LSAs: "I hold each of these, or a newer one".
///
/// | bytes | field |
/// |---|---|
/// | 2 | number of headers, at most 512 |
/// | ... | headers: origin ProxyID (34), fragment (2), sequence (8) |
package enum LSAAcknowledgmentCodec {
    package static func encode(_ headers: [LSAHeader], into writer: inout FrameWriter) {
        writer.headers(headers)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> [LSAHeader] {
        var reader = FrameReader()
        let headers = try reader.headers(payload)
        try reader.finish(payload)
        return headers
    }
}

/// What the sender holds between two keys.
///
/// | bytes | field |
/// |---|---|
/// | 4 | number, comes back in the answer |
/// | 1 (+ 36) | 0: from the first key; 1: above this key (ProxyID, fragment) |
/// | 1 (+ 36) | 0: to the last key; 1: up to and including this key |
/// | 2 | number of headers, at most 512 |
/// | ... | headers: origin ProxyID (34), fragment (2), sequence (8) |
package enum LSASummaryCodec {
    package static func encode(_ summary: LSASummary, into writer: inout FrameWriter) {
        writer.uint32(summary.number)
        writer.optionalKey(summary.after)
        writer.optionalKey(summary.through)
        writer.headers(summary.headers)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> LSASummary {
        var reader = FrameReader()
        let summary = LSASummary(
            number: try reader.uint32(payload),
            after: try reader.optionalKey(payload),
            through: try reader.optionalKey(payload),
            headers: try reader.headers(payload)
        )
        try reader.finish(payload)
        return summary
    }
}

/// Answers a summary with the keys that the sender of the answer lacks.
///
/// | bytes | field |
/// |---|---|
/// | 4 | number of the summary |
/// | 2 | number of keys, at most 512 |
/// | ... | keys: origin ProxyID (34), fragment (2) |
package enum LSASummaryAcknowledgmentCodec {
    package static func encode(
        number: UInt32,
        wanted: [LSAKey],
        into writer: inout FrameWriter
    ) {
        writer.uint32(number)
        writer.count16(wanted.count)
        for key in wanted { writer.key(key) }
    }

    package static func decode(
        _ payload: RawSpan
    ) throws(WireError) -> (number: UInt32, wanted: [LSAKey]) {
        var reader = FrameReader()
        let number = try reader.uint32(payload)
        var wanted: [LSAKey] = []
        for _ in 0..<(try reader.count16(limit: RoutingLimits.headersPerMessage, payload)) {
            wanted.append(try reader.key(payload))
        }
        try reader.finish(payload)
        return (number, wanted)
    }
}

extension FrameWriter {
    fileprivate mutating func key(_ key: LSAKey) {
        proxyID(key.origin)
        uint16(key.fragment)
    }

    fileprivate mutating func optionalKey(_ key: LSAKey?) {
        flag(key != nil)
        if let key { self.key(key) }
    }

    fileprivate mutating func headers(_ headers: [LSAHeader]) {
        count16(headers.count)
        for header in headers {
            key(header.key)
            uint64(header.sequence)
        }
    }
}

extension FrameReader {
    fileprivate mutating func key(_ bytes: RawSpan) throws(WireError) -> LSAKey {
        LSAKey(origin: try proxyID(bytes), fragment: try uint16(bytes))
    }

    fileprivate mutating func optionalKey(_ bytes: RawSpan) throws(WireError) -> LSAKey? {
        try flag(bytes) ? try key(bytes) : nil
    }

    fileprivate mutating func headers(_ bytes: RawSpan) throws(WireError) -> [LSAHeader] {
        let count = try count16(limit: RoutingLimits.headersPerMessage, bytes)
        var headers: [LSAHeader] = []
        headers.reserveCapacity(count)
        for _ in 0..<count {
            headers.append(LSAHeader(key: try key(bytes), sequence: try uint64(bytes)))
        }
        return headers
    }
}

/// The frame of each routing message.
extension RoutingMessage {
    package var frameType: FrameType {
        switch self {
        case .lsa: .lsa
        case .acknowledgment: .lsaAcknowledgment
        case .summary: .lsaSummary
        case .summaryAcknowledgment: .lsaSummaryAcknowledgment
        }
    }

    /// Writes the payload of the frame.
    package func encode(into writer: inout FrameWriter) {
        switch self {
        case .lsa(let bytes):
            writer.array(bytes)
        case .acknowledgment(let headers):
            LSAAcknowledgmentCodec.encode(headers, into: &writer)
        case .summary(let summary):
            LSASummaryCodec.encode(summary, into: &writer)
        case .summaryAcknowledgment(let number, let wanted):
            LSASummaryAcknowledgmentCodec.encode(number: number, wanted: wanted, into: &writer)
        }
    }
}
