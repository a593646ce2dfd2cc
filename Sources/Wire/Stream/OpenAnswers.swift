package import NetworkModel

/// The server has accepted.
///
/// | bytes | field |
/// |---|---|
/// | 34 | egress ProxyID |
/// | 4 | window: bytes that the egress takes from the client before it acknowledges any |
/// | 16 | MAC |
/// | 0 or 1 | flags, left out when none is set; 1: the stream can be resumed, as OPEN asked; 2: the bytes in OPEN have come |
package struct Opened: Frame, Hashable {
    package static let type = FrameType.opened
    package static let mayGrow = true

    package var egress: ProxyID
    package var window: UInt32
    package var mac: [UInt8]
    package var isResumable: Bool
    /// The egress has the bytes that OPEN carried: what follows begins behind them.
    package var tookEarly: Bool

    package init(
        egress: ProxyID,
        window: UInt32,
        mac: [UInt8],
        isResumable: Bool = false,
        tookEarly: Bool = false
    ) {
        self.egress = egress
        self.window = window
        self.mac = mac
        self.isResumable = isResumable
        self.tookEarly = tookEarly
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(egress)
        writer.uint32(window)
        writer.array(mac)
        let flags: UInt8 = (isResumable ? 1 : 0) | (tookEarly ? 2 : 0)
        if flags != 0 { writer.uint8(flags) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        egress = try reader.proxyID(payload)
        window = min(try reader.uint32(payload), WireLimit.window)
        mac = try reader.array(WireLimit.mac, payload)
        let flags = try reader.laterFlags(payload)
        isResumable = flags & 1 != 0
        tookEarly = flags & 2 != 0
    }
}

/// The stream was not opened, or not resumed; its label is free again.
///
/// | bytes | field |
/// |---|---|
/// | 34 | the proxy that refused |
/// | 1 | reason |
/// | 16 | MAC when the egress refused; zeros from a transit proxy |
package struct Refused: Frame, Hashable {
    package static let type = FrameType.refused
    /// Unknown numbers are read as `other`.
    package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        case other = 0
        /// A hop has no lane to the next entry of the route, or is not where the route says.
        case noRoute = 1
        /// The egress knows no service of that name, or offers it no more.
        case noService = 2
        /// No endpoint is left that is ready or serving.
        case noEndpoint = 3
        /// Every endpoint refused the connection.
        case connectRefused = 4
        /// No endpoint answered in time.
        case connectTimeout = 5
        /// The egress drains.
        case draining = 6
        /// The number was seen before, or is too old.
        case replay = 7
        /// The egress has no advertisement of the signer yet: try again.
        case unknownOrigin = 8
        /// The MAC does not fit, or there is none.
        case unauthenticated = 9
        /// The egress belongs to another site than the target.
        case wrongSite = 10
        /// A limit (streams, labels, memory, descriptors) is reached.
        case overloaded = 11
        /// The egress's site does not let clients of the ingress's site use the service.
        case notAllowed = 15

        // To a RESUME

        /// The egress has no such stream, or none that could go on.
        case unknownStream = 12
        /// Both directions have ended in order.
        case finished = 13
        /// The server has reset it.
        case endedByServer = 14
    }

    package var by: ProxyID
    package var reason: Reason
    package var mac: [UInt8]

    package init(by proxy: ProxyID, reason: Reason, mac: [UInt8]? = nil) {
        by = proxy
        self.reason = reason
        self.mac = mac ?? Array(repeating: 0, count: WireLimit.mac)
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(by)
        writer.uint8(reason.rawValue)
        writer.array(mac)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        by = try reader.proxyID(payload)
        reason = Reason(rawValue: try reader.uint8(payload)) ?? .other
        mac = try reader.array(WireLimit.mac, payload)
    }
}
