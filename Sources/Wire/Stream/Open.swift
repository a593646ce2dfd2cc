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
package struct Open: Frame, Hashable {
    package static let type = FrameType.open

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
        writer.streamName(name)
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

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        name = try reader.streamName(payload)
        epoch = try reader.uint32(payload)
        service = try reader.servicePort(payload)
        route = try reader.route(payload)
        guard !route.isEmpty else { throw .invalid(.route) }
        target = try reader.siteID(payload)
        client = try reader.endpoint(payload)
        if try reader.flag(payload) {
            signature = Signature(
                signer: try reader.proxyID(payload),
                mac: try reader.array(WireLimit.mac, payload)
            )
        }
        window = min(try reader.uint32(payload), WireLimit.window)
    }
}
