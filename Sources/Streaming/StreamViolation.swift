package import Wire

/// How a neighbor broke the rules of one stream.
package enum StreamViolation: Error, Hashable, Sendable {
    /// Acknowledges what was never sent.
    case acknowledgment(offset: UInt64, sent: UInt64)
    /// Bytes that leave a gap.
    case gap(offset: UInt64, expected: UInt64)
    /// Bytes beyond the granted window.
    case window(end: UInt64, granted: UInt64)
    /// A FIN that contradicts another or the bytes that came.
    case fin(offset: UInt64)
    /// Bytes behind the FIN.
    case afterFin(end: UInt64, fin: UInt64)
    /// A frame that the state of the stream does not allow.
    case unexpected(FrameType)
}
