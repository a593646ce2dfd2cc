import TLS
import Wire

/// What a `Lane` tells its owner; every call comes from the lane's loop, never from within a call into the lane.
protocol LaneDelegate: AnyObject {
    /// The handshake is done and `lane.neighbor` is verified.
    func laneEstablished(_ lane: Lane)

    /// One whole frame; `payload` is valid during the call only.
    ///
    /// HEARTBEAT and CLOSE are the lane's own and do not come here.
    func lane(_ lane: Lane, received type: UInt8, label: UInt32, payload: RawSpan)

    /// There is room: append data frames of at most `limit` bytes in sum (headers included), or nothing.
    ///
    /// Called at the end of a turn after `lane.requestData()`, and again for as long as the answer is true: more waits.
    func laneProduceData(_ lane: Lane, into buffer: inout FrameBuffer, limit: Int) -> Bool

    /// The lane has ended; the last call of this lane, exactly one (none when it was handed to another loop).
    func laneClosed(_ lane: Lane, _ reason: LaneCloseReason)
}

/// Why a lane ended.
enum LaneCloseReason: Hashable, Sendable {
    /// No TCP connection: refused, unreachable, timed out.
    case connect(SystemError)
    /// Connected, but the handshake was not done within 5 s.
    case handshakeTimeout
    /// The handshake failed: the neighbor's certificate, its alert about ours, or no common protocol.
    case handshake(TLSError)
    /// The neighbor proved to be another site than the one that the dialer pinned.
    case unexpectedSite(NeighborIdentity)
    /// Nothing came for longer than the neighbor's heartbeats allow.
    case silent(Duration)
    /// The neighbor sends, but has not read our heartbeats for this long.
    case unanswered(Duration)
    /// The connection failed: reset, timed out.
    case connection(SystemError)
    /// The neighbor ended the connection without saying why.
    case ended
    /// The neighbor ended the lane and said why.
    case closedByNeighbor(LaneClosing)
    /// `Lane.close(_:)` was called.
    case closedHere(LaneClosing)
    /// The neighbor broke the framing or TLS itself failed after the handshake.
    case violation(String)
    /// More control frames were queued than the neighbor takes: it reads too slowly.
    case overflow

    /// The neighbor is not allowed any more: what it carried ends with the lane.
    var isRevocation: Bool {
        switch self {
        case .closedByNeighbor(let closing), .closedHere(let closing):
            closing.reason == .notAllowed
        default: false
        }
    }
}
