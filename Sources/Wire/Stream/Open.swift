package import NetworkModel

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
/// | 1 (+ 34 + 16) | 0: not signed (a sidecar); 1: signer ProxyID, MAC |
/// | 4 | window: bytes that the ingress takes from the server before it acknowledges any |
/// | 0 or 1 | flags, left out when none is set; 1: the stream can be resumed; 2: the first bytes of the client follow |
/// | 2 + n | these bytes, 1...4,096; no proxy sends them to a neighbor whose minor version is below `Hello.earlyMinor` |
package struct Open: Frame, Hashable {
    package static let type = FrameType.open
    package static let mayGrow = true

    package var name: StreamName
    package var epoch: UInt32
    package var service: ServicePort
    package var route: [ProxyID]
    package var target: SiteID
    package var client: Endpoint
    package var signature: Signature?
    package var window: UInt32
    /// The ingress can resume it, and so can every hop that it has passed; a hop that knows of no such thing leaves it out.
    package var isResumable: Bool
    /// The client's first bytes; a hop that knows of no such thing leaves them out, and OPENED says whether they have come.
    package var early: [UInt8] = []

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
        window: UInt32,
        isResumable: Bool = false
    ) {
        self.name = name
        self.epoch = epoch
        self.service = service
        self.route = route
        self.target = target
        self.client = client
        self.signature = signature
        self.window = window
        self.isResumable = isResumable
    }

    package func encode(into writer: inout FrameWriter) {
        writer.streamName(name)
        writer.uint32(epoch)
        writer.servicePort(service)
        writer.route(route)
        writer.siteID(target)
        writer.endpoint(client)
        writer.signature(signature)
        writer.uint32(window)
        // No neighbor from before can read more; it is not told of it.
        let flags: UInt8 = (isResumable ? 1 : 0) | (early.isEmpty ? 0 : 2)
        if flags != 0 { writer.uint8(flags) }
        if !early.isEmpty { writer.bytes16(early) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        name = try reader.streamName(payload)
        epoch = try reader.uint32(payload)
        service = try reader.servicePort(payload)
        route = try reader.route(payload)
        guard !route.isEmpty else { throw .invalid(.route) }
        target = try reader.siteID(payload)
        client = try reader.endpoint(payload)
        signature = try reader.signature(payload)
        window = min(try reader.uint32(payload), WireLimit.window)
        let flags = try reader.laterFlags(payload)
        isResumable = flags & 1 != 0
        guard flags & 2 != 0 else { return }
        let count = try reader.count16(limit: WireLimit.early, payload)
        early = try reader.array(count, payload)
    }
}
