/// The type byte of a frame.
///
/// A receiver that meets an unknown type below 128 ends the lane; one of 128 or more it ignores, so that later
/// minor versions can add frames that old proxies may miss.
package enum FrameType: UInt8, Hashable, Sendable, CaseIterable {
    // Of the lane; label 0. The lane itself makes and reads HEARTBEAT and CLOSE.

    case heartbeat = 0
    case close = 1
    case hello = 2
    case goAway = 3

    // Of the adjacency; label 0.
    case lsa = 8
    case lsaAcknowledgment = 9
    case counts = 10
    case table = 11
    case tableAcknowledgment = 12
    case report = 13
    case lsaSummary = 14
    case lsaSummaryAcknowledgment = 15

    // Of one stream; the label says which.
    case open = 16
    case opened = 17
    case refused = 18
    case cancel = 19
    case data = 20
    case acknowledgment = 21
    case fin = 22
    case reset = 23

    // Of one stream too, and known to `Hello.resumeMinor` and later. 27...31 are kept for streams.
    case detached = 24
    case resume = 25
    case resumed = 26

    // Old proxies ignore these. Of the adjacency; label 0.
    case wants = 128
    case ended = 130
    // Of the lane; label 0.

    /// The sender opens no more streams on this lane, and asks for none: others have taken its place.
    case retire = 129
    /// The dialer of this lane is asked for one beside it that carries bulk.
    case bulkLane = 131
    /// The dialer holds a token of this site; before its HELLO.
    case joinClaim = 132
    /// The sender has new credentials: the dialer of this lane is asked for another one in its place.
    case renew = 133

    /// The first type that an old proxy ignores.
    package static let firstIgnorable: UInt8 = 128

    /// Whether the frame belongs to one stream.
    package var isOfStream: Bool { rawValue >= 16 && rawValue < 32 }

    /// Reads a type byte: nil for a type to ignore.
    package static func known(_ byte: UInt8) throws(WireError) -> FrameType? {
        if let type = FrameType(rawValue: byte) { return type }
        guard byte >= firstIgnorable else { throw .unknownFrame(type: byte) }
        return nil
    }
}

/// The eight bytes before every payload on a lane.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 3 | length of the payload |
/// | 3 | 1 | type (`FrameType`) |
/// | 4 | 4 | label of the stream; 0 when the frame is of no stream |
///
/// All integers of the protocol are big endian.
package struct FrameHeader: Hashable, Sendable {
    package static let size = 8
    /// The most bytes of a stream that one DATA frame carries.
    package static let maximumData = 65_536
    /// The longest payload of any frame; a longer one ends the lane.
    package static let maximumPayload = maximumData + 1_024

    package var length: Int
    package var type: UInt8
    package var label: UInt32

    package init(length: Int, type: UInt8, label: UInt32) {
        self.length = length
        self.type = type
        self.label = label
    }

    /// The eight bytes as one number.
    package var word: UInt64 {
        UInt64(truncatingIfNeeded: length) << 40 | UInt64(type) << 32 | UInt64(label)
    }

    package init(word: UInt64) {
        length = Int(word >> 40)
        type = UInt8(truncatingIfNeeded: word >> 32)
        label = UInt32(truncatingIfNeeded: word)
    }

    /// Reads the header at `offset`.
    package init(_ bytes: RawSpan, at offset: Int) throws(WireError) {
        var reader = FrameReader(offset: offset)
        self.init(word: try reader.uint64(bytes))
    }
}
