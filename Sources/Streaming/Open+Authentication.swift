package import NetworkModel
package import Wire

// What the MACs of a stream's set-up cover: whatever no hop may change, so neither windows nor labels.

extension Open {
    /// The bytes under the MAC of OPEN: whatever no hop may change.
    package func authenticated(signer: ProxyID) -> [UInt8] {
        var writer = FrameWriter(reserving: 512)
        writer.uint8(FrameType.open.rawValue)
        writer.streamName(name)
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
        writer.streamName(name)
        writer.uint32(epoch)
        writer.proxyID(signer)
        writer.proxyID(egress)
        writer.servicePort(service)
        writer.siteID(target)
        writer.uint8(reason?.rawValue ?? 0)
        return writer.bytes
    }
}
