/// The ingress gives the stream up before it has sent a byte or a FIN on it; it has no fields.
package struct Cancel: Frame, Hashable {
    package static let type = FrameType.cancel

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

/// The sender of a direction is done.
///
/// | bytes | field |
/// |---|---|
/// | 8 | final offset: the number of bytes of the direction |
package struct Fin: Frame, Hashable {
    package static let type = FrameType.fin
    package static let size = 8

    package var offset: UInt64

    package init(offset: UInt64) { self.offset = offset }

    package func encode(into writer: inout FrameWriter) { writer.uint64(offset) }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        offset = try reader.uint64(payload)
    }
}

/// Ends a stream abortively in both directions; a TCP RST at both ends.
///
/// | bytes | field |
/// |---|---|
/// | 1 | reason |
package struct Reset: Frame, Hashable {
    package static let type = FrameType.reset
    /// Unknown numbers are read as `other`.
    package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        case other = 0
        /// The client or the server reset its connection, or it timed out.
        case endpoint = 1
        /// A lane of the path was lost.
        case pathLost = 2
        /// A frame broke the rules of the stream.
        case protocolError = 3
        /// Nothing moved for `timeouts.idle`, or `timeouts.halfClosed`.
        case idle = 4
        /// The proxy stops.
        case shutdown = 5
        /// A limit is reached.
        case overloaded = 6
        /// The service or the site is not allowed any more.
        case revoked = 7
    }

    package var reason: Reason

    package init(reason: Reason) { self.reason = reason }

    package func encode(into writer: inout FrameWriter) { writer.uint8(reason.rawValue) }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        reason = Reason(rawValue: try reader.uint8(payload)) ?? .other
    }
}
