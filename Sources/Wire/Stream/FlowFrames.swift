/// Bytes of one direction of a stream.
///
/// | bytes | field |
/// |---|---|
/// | 8 | offset of the first byte in its direction |
/// | 1...65,536 | the bytes |
package enum DataFrame {
    package static let headerSize = 8

    /// The offset; the bytes of the stream follow at `headerSize`.
    package static func offset(_ payload: RawSpan) throws(WireError) -> UInt64 {
        var reader = FrameReader()
        let offset = try reader.uint64(payload)
        guard reader.remaining(payload) > 0 else { throw .truncated(offset: headerSize) }
        return offset
    }
}

/// What the receiver of a direction has written to its socket, and how much more may be sent.
///
/// | bytes | field |
/// |---|---|
/// | 8 | offset: every byte before it was written to the socket; a FIN counts as one byte |
/// | 4 | window: bytes from that offset on that may be sent |
package struct Acknowledgment: Frame, Hashable {
    package static let type = FrameType.acknowledgment
    package static let size = 12

    package var offset: UInt64
    package var window: UInt32

    package init(offset: UInt64, window: UInt32) {
        self.offset = offset
        self.window = window
    }

    package func encode(into writer: inout FrameWriter) {
        writer.uint64(offset)
        writer.uint32(window)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        offset = try reader.uint64(payload)
        window = min(try reader.uint32(payload), WireLimit.window)
    }
}
