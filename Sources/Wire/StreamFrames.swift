package import NetworkModel

/// What names a stream end to end.
package struct StreamName: Hashable, Sendable {
    /// The proxy that has the client.
    package var ingress: ProxyID
    /// Counts the attempts of that instance, from 1; each OPEN has a number of its own.
    package var number: UInt64

    package init(ingress: ProxyID, number: UInt64) {
        self.ingress = ingress
        self.number = number
    }
}

/// Asks for a stream to a target.
///
/// | bytes | field |
/// |---|---|
/// | 34 | ingress ProxyID |
/// | 8 | stream number |
/// | 4 | epoch of the attachment: 0 |
/// | 1 + n | service address |
/// | 1 + n | port name |
/// | 1 + 34 n | route: the proxies from the first hop to the egress, 1...16, all different |
/// | 26 | target SiteID |
/// | 1 + 4 or 16 + 2 | client: 4 or 6, address, port |
/// | 1 (+ 34 + 16) | 0: not signed (an edge); 1: signer ProxyID, MAC |
/// | 4 | window: bytes that the ingress takes from the server before it acknowledges any |
package struct Open: Hashable, Sendable {
    package var name: StreamName
    package var epoch: UInt32
    package var service: ServicePort
    package var route: [ProxyID]
    package var target: SiteID
    package var client: Endpoint
    package var signature: Signature?
    package var window: UInt32

    /// The gateway that vouches for the stream, with its MAC under the key it shares with the egress.
    package struct Signature: Hashable, Sendable {
        package var signer: ProxyID
        /// `WireLimit.mac` bytes.
        package var mac: [UInt8]

        package init(signer: ProxyID, mac: [UInt8]) {
            self.signer = signer
            self.mac = mac
        }
    }

    package init(
        name: StreamName,
        epoch: UInt32 = 0,
        service: ServicePort,
        route: [ProxyID],
        target: SiteID,
        client: Endpoint,
        signature: Signature? = nil,
        window: UInt32
    ) {
        self.name = name
        self.epoch = epoch
        self.service = service
        self.route = route
        self.target = target
        self.client = client
        self.signature = signature
        self.window = window
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(name.ingress)
        writer.uint64(name.number)
        writer.uint32(epoch)
        writer.servicePort(service)
        writer.route(route)
        writer.siteID(target)
        writer.endpoint(client)
        writer.flag(signature != nil)
        if let signature {
            writer.proxyID(signature.signer)
            writer.array(signature.mac)
        }
        writer.uint32(window)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Open {
        var reader = FrameReader()
        let name = StreamName(
            ingress: try reader.proxyID(payload),
            number: try reader.uint64(payload)
        )
        let epoch = try reader.uint32(payload)
        let service = try reader.servicePort(payload)
        let route = try reader.route(payload)
        guard !route.isEmpty else { throw .invalid(.route) }
        let target = try reader.siteID(payload)
        let client = try reader.endpoint(payload)
        var signature: Signature?
        if try reader.flag(payload) {
            signature = Signature(
                signer: try reader.proxyID(payload),
                mac: try reader.array(WireLimit.mac, payload)
            )
        }
        let window = try reader.uint32(payload)
        try reader.finish(payload)
        return Open(
            name: name,
            epoch: epoch,
            service: service,
            route: route,
            target: target,
            client: client,
            signature: signature,
            window: min(window, WireLimit.window)
        )
    }

    /// The bytes under the MAC of OPEN: whatever no hop may change.
    package func authenticated(signer: ProxyID) -> [UInt8] {
        var writer = FrameWriter(reserving: 512)
        writer.uint8(FrameType.open.rawValue)
        writer.proxyID(name.ingress)
        writer.uint64(name.number)
        writer.uint32(epoch)
        writer.proxyID(signer)
        writer.servicePort(service)
        writer.siteID(target)
        writer.route(route)
        writer.endpoint(client)
        return writer.bytes
    }

    /// The bytes under the MAC of the egress's answer to this OPEN.
    package func authenticatedAnswer(
        _ type: FrameType,
        signer: ProxyID,
        egress: ProxyID,
        reason: Refused.Reason? = nil
    ) -> [UInt8] {
        var writer = FrameWriter(reserving: 512)
        writer.uint8(type.rawValue)
        writer.proxyID(name.ingress)
        writer.uint64(name.number)
        writer.uint32(epoch)
        writer.proxyID(signer)
        writer.proxyID(egress)
        writer.servicePort(service)
        writer.siteID(target)
        writer.uint8(reason?.rawValue ?? 0)
        return writer.bytes
    }
}

/// The server has accepted.
///
/// | bytes | field |
/// |---|---|
/// | 34 | egress ProxyID |
/// | 4 | window: bytes that the egress takes from the client before it acknowledges any |
/// | 16 | MAC |
package struct Opened: Hashable, Sendable {
    package var egress: ProxyID
    package var window: UInt32
    package var mac: [UInt8]

    package init(egress: ProxyID, window: UInt32, mac: [UInt8]) {
        self.egress = egress
        self.window = window
        self.mac = mac
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(egress)
        writer.uint32(window)
        writer.array(mac)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Opened {
        var reader = FrameReader()
        let opened = Opened(
            egress: try reader.proxyID(payload),
            window: min(try reader.uint32(payload), WireLimit.window),
            mac: try reader.array(WireLimit.mac, payload)
        )
        try reader.finish(payload)
        return opened
    }
}

/// The stream was not opened; its label is free again.
///
/// | bytes | field |
/// |---|---|
/// | 34 | the proxy that refused |
/// | 1 | reason |
/// | 16 | MAC when the egress refused; zeros from a transit proxy |
package struct Refused: Hashable, Sendable {
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

    package static func decode(_ payload: RawSpan) throws(WireError) -> Refused {
        var reader = FrameReader()
        let proxy = try reader.proxyID(payload)
        let reason = Reason(rawValue: try reader.uint8(payload)) ?? .other
        let mac = try reader.array(WireLimit.mac, payload)
        try reader.finish(payload)
        return Refused(by: proxy, reason: reason, mac: mac)
    }
}

/// The ingress gives the stream up before it has sent a byte or a FIN on it; it has no fields.
package struct Cancel: Hashable, Sendable {
    package init() {}

    package static func decode(_ payload: RawSpan) throws(WireError) -> Cancel {
        try FrameReader().finish(payload)
        return Cancel()
    }
}

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
package struct Acknowledgement: Hashable, Sendable {
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

    package static func decode(_ payload: RawSpan) throws(WireError) -> Acknowledgement {
        var reader = FrameReader()
        let acknowledgement = Acknowledgement(
            offset: try reader.uint64(payload),
            window: min(try reader.uint32(payload), WireLimit.window)
        )
        try reader.finish(payload)
        return acknowledgement
    }
}

/// The sender of a direction is done.
///
/// | bytes | field |
/// |---|---|
/// | 8 | final offset: the number of bytes of the direction |
package struct Fin: Hashable, Sendable {
    package static let size = 8

    package var offset: UInt64

    package init(offset: UInt64) { self.offset = offset }

    package func encode(into writer: inout FrameWriter) { writer.uint64(offset) }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Fin {
        var reader = FrameReader()
        let fin = Fin(offset: try reader.uint64(payload))
        try reader.finish(payload)
        return fin
    }
}

/// Ends a stream abortively in both directions; a TCP RST at both ends.
///
/// | bytes | field |
/// |---|---|
/// | 1 | reason |
package struct Reset: Hashable, Sendable {
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

    package static func decode(_ payload: RawSpan) throws(WireError) -> Reset {
        var reader = FrameReader()
        let reset = Reset(reason: Reason(rawValue: try reader.uint8(payload)) ?? .other)
        try reader.finish(payload)
        return reset
    }
}
