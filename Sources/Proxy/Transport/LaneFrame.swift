package import Wire

/// The frames that belong to the lane itself; all others are `Wire`'s.
///
/// Both have label 0, integers are big endian.
package enum LaneFrame {
    /// Shows that the sender lives, and measures the round trip.
    ///
    /// | bytes | field |
    /// |---|---|
    /// | 8 | the sender's clock in nanoseconds |
    /// | 8 | the neighbour's clock from the last heartbeat that came from it; 0: none came yet |
    /// | 8 | nanoseconds between that arrival and this frame |
    package static let heartbeat: UInt8 = 0
    /// The last frame of a side: it ends the lane.
    ///
    /// | bytes | field |
    /// |---|---|
    /// | 2 | `CloseCode` |
    /// | n | explanation for a person, UTF-8, at most 512 bytes |
    package static let close: UInt8 = 1
}

struct Heartbeat: Hashable, Sendable {
    var sent: UInt64
    var echo: UInt64
    var held: UInt64

    func encode(into writer: inout FrameWriter) {
        writer.uint64(sent)
        writer.uint64(echo)
        writer.uint64(held)
    }

    static func decode(_ payload: RawSpan) throws(WireError) -> Heartbeat {
        var reader = FrameReader()
        let heartbeat = Heartbeat(
            sent: try reader.uint64(payload),
            echo: try reader.uint64(payload),
            held: try reader.uint64(payload)
        )
        try reader.finish(payload)
        return heartbeat
    }
}

/// Why a side ended a lane, as a number that means the same to both sides, with words for people.
package struct LaneClosing: Hashable, Sendable, CustomStringConvertible {
    private static let explanationCountMax = 512

    /// A `CloseCode`, or a number of a later version.
    package let code: UInt16
    package let explanation: String

    package init(code: UInt16, explanation: String = "") {
        self.code = code
        self.explanation = explanation
    }

    package init(_ reason: CloseCode, _ explanation: String = "") {
        self.init(code: reason.rawValue, explanation: explanation)
    }

    /// Numbers that this version does not know are `.other`.
    package var reason: CloseCode { CloseCode(rawValue: code) ?? .other }

    package var description: String { explanation.isEmpty ? "\(reason)" : explanation }

    func encode(into writer: inout FrameWriter) {
        writer.uint16(code)
        var text = explanation
        while text.utf8.count > Self.explanationCountMax { text.removeLast() }
        writer.array(text.utf8)
    }

    static func decode(_ payload: RawSpan) throws(WireError) -> LaneClosing {
        var reader = FrameReader()
        let code = try reader.uint16(payload)
        // Longer text than is allowed is no reason to lose the code.
        let count = min(reader.remaining(payload), explanationCountMax)
        let text = String(decoding: try reader.array(count, payload), as: UTF8.self)
        return LaneClosing(code: code, explanation: text)
    }
}
