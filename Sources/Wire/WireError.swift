/// Why bytes from a neighbor are not the frame that they claim to be.
///
/// In a frame's fields it ends the lane: a neighbor that breaks the format once cannot be trusted to be in step again.
/// In the body of an LSA, which may have come through the neighbor from afar, it only refuses that LSA.
package enum WireError: Error, Hashable, Sendable {
    /// The payload ended before the field that starts at `offset`.
    case truncated(offset: Int)
    /// `count` bytes followed the last field.
    case trailing(count: Int)
    /// A list or a string of `count` elements where at most `limit` are allowed.
    case tooLong(field: Field, count: Int, limit: Int)
    /// A value outside of what the field allows.
    case invalid(Field)
    /// A frame type below 128 that this version does not know.
    case unknownFrame(type: UInt8)

    /// The fields that have rules of their own.
    package enum Field: String, Hashable, Sendable {
        case siteID, proxyID, linkName, serviceAddress, portName, text, ipAddress, route, reason
        case flags, duration, cost, counter, list, publicKey, certificate, signature, fragment
    }
}
