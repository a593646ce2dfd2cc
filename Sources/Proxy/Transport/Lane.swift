package import NetworkModel
package import SiteConfiguration
package import TLS
package import Wire

/// One TLS 1.3 connection to a neighbour that carries frames; confined to its loop.
///
/// Order of sending: heartbeats, then control frames in the order of `send`, then data that the delegate appends when
/// asked. Everything of one turn leaves with one flush. Memory: one partial frame each way, one batch of ciphertext
/// that the socket did not take (<= 192 KiB), and at most `controlCountMax` bytes of control frames.
package final class Lane: EventHandler {
    package enum Side: Hashable, Sendable { case dialler, acceptor }

    /// What a lane is made with.
    package struct Parameters: Sendable {
        package var context: TLSContext
        package var health: HealthParameters
        /// The SiteID that a dialler pins; nil for acceptors and edges' gateways that are checked by the delegate.
        package var expectedSite: SiteID?
        /// For the TCP connection, before the 5 s of the handshake.
        package var connectTimeout: Duration

        package init(
            context: TLSContext,
            health: HealthParameters,
            expectedSite: SiteID? = nil,
            connectTimeout: Duration = .seconds(5)
        ) {
            self.context = context
            self.health = health
            self.expectedSite = expectedSite
            self.connectTimeout = connectTimeout
        }
    }

    /// Bytes of queued control frames beyond which the lane ends with `.overflow`.
    package static let controlCountMax = 4 * 1024 * 1024
    package static let handshakeTimeout = Duration.seconds(5)

    package let side: Side
    /// The address at the other end of the TCP connection.
    package let remote: Endpoint
    /// Cleared after `laneClosed`.
    package var delegate: (any LaneDelegate)?
    /// Verified; nil until `laneEstablished`.
    package private(set) var neighbor: NeighborIdentity?
    /// Smoothed, from heartbeats; nil until the first echo.
    package private(set) var roundTrip: Duration?
    /// May be changed at any time; takes effect with the next heartbeat.
    package var health: HealthParameters
    private let loop: EventLoop

    /// Connects, then does the dialler's half of the handshake.
    package init(
        dialling endpoint: Endpoint,
        _ parameters: Parameters,
        delegate: any LaneDelegate,
        on loop: EventLoop
    ) {
        side = .dialler
        remote = endpoint
        health = parameters.health
        self.delegate = delegate
        self.loop = loop
    }

    /// Does the acceptor's half of the handshake on a socket that a `Listener` accepted.
    package init(
        accepting socket: consuming FileDescriptor,
        from endpoint: Endpoint,
        _ parameters: Parameters,
        delegate: any LaneDelegate,
        on loop: EventLoop
    ) {
        side = .acceptor
        remote = endpoint
        health = parameters.health
        self.delegate = delegate
        self.loop = loop
    }

    /// True between `laneEstablished` and the first sign of an end.
    package var isEstablished: Bool { false }

    /// Queues one control frame; ignored when the lane is not established or is ending.
    ///
    /// - Precondition: the payload has at most `FrameHeader.maximumPayload` bytes; the type is none of the lane's own.
    package func send(_ type: UInt8, label: UInt32 = 0, _ payload: RawSpan) {}
    package func send(_ type: UInt8, label: UInt32 = 0, _ payload: [UInt8] = []) {}

    /// Bytes of control frames that wait.
    package var queuedControlCount: Int { 0 }

    /// Asks for `laneProduceData` at the end of this turn, or as soon as there is room.
    package func requestData() {}

    /// Sends what is queued and CLOSE, then ends; `laneClosed(.closedHere)` follows in a later call.
    package func close(_ closing: Close) {}

    /// Moves an established lane to another loop; nothing more is delivered here, not even `laneClosed`.
    ///
    /// `adopt` gets the lane at its new loop and must set its `delegate` before it returns. Frames that follow
    /// the one being delivered are delivered there.
    package func handOver(
        to mailbox: Mailbox,
        adopt: @escaping @Sendable (Lane, EventLoop) -> Void
    ) {}

    /// Keying material bound to this TLS session (RFC 8446 section 7.5); nil before the handshake is done.
    package func exportKey(label: String, count: Int) -> [UInt8]? { nil }

    package func handle(_ events: ReadyEvents, on loop: EventLoop) {}
}
