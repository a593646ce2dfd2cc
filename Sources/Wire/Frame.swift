/// The payload of one type of frame as a value.
///
/// A type says how its fields are written and read; that nothing follows the last one is checked here, once.
package protocol Frame: Sendable {
    static var type: FrameType { get }
    /// Whether later minor versions may append fields, which this one does not read.
    static var mayGrow: Bool { get }

    func encode(into writer: inout FrameWriter)
    /// Reads the fields, from the first to the last.
    init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError)
}

extension Frame {
    package static var mayGrow: Bool { false }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Self {
        var reader = FrameReader()
        let frame = try Self(reading: &reader, payload)
        if !mayGrow { try reader.finish(payload) }
        return frame
    }

    /// The payload.
    package var encoded: [UInt8] {
        var writer = FrameWriter()
        encode(into: &writer)
        return writer.bytes
    }
}
