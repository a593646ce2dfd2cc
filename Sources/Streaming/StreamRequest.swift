package import NetworkModel
package import Wire

/// OPEN or RESUME: what travels along its route to the egress, vouched for by one gateway, and is answered.
///
/// Its MACs cover whatever no hop may change, so neither windows nor labels.
package protocol StreamRequest: Frame {
    var name: StreamName { get }
    var epoch: UInt32 { get }
    /// Ends with the egress.
    var route: [ProxyID] { get }
    var signature: Open.Signature? { get set }

    /// The bytes under the MAC of `signer`.
    func authenticated(signer: ProxyID) -> [UInt8]
    /// Appends what else the egress's answer covers of the request.
    func writeSubject(into writer: inout FrameWriter)
}

/// What an egress says to a request, as far as its MAC covers it.
package enum StreamAnswer: Hashable, Sendable {
    case opened(by: ProxyID)
    case refused(Refused.Reason, by: ProxyID)
    case resumed(Resumed)

    private var type: FrameType {
        switch self {
        case .opened: .opened
        case .refused: .refused
        case .resumed: .resumed
        }
    }

    /// Who says so.
    var proxy: ProxyID {
        switch self {
        case .opened(let proxy), .refused(_, let proxy): proxy
        case .resumed(let resumed): resumed.egress
        }
    }

    /// The bytes under the MAC of the answer to `request`, for the gateway that has signed it.
    package func authenticated(_ request: some StreamRequest, signer: ProxyID) -> [UInt8] {
        var writer = FrameWriter(reserving: 512)
        writer.uint8(type.rawValue)
        writer.streamName(request.name)
        writer.uint32(request.epoch)
        writer.proxyID(signer)
        writer.proxyID(proxy)
        request.writeSubject(into: &writer)
        switch self {
        case .opened: writer.uint8(0)
        case .refused(let reason, _): writer.uint8(reason.rawValue)
        case .resumed(let resumed):
            writer.counter(resumed.standing.next)
            writer.flag(resumed.standing.hasFin)
            writer.counter(resumed.start)
        }
        return writer.bytes
    }
}

extension Open: StreamRequest {
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

    package func writeSubject(into writer: inout FrameWriter) {
        writer.servicePort(service)
        writer.siteID(target)
    }
}

extension Resume: StreamRequest {
    // What the stream's service and target are says its name.
    package func authenticated(signer: ProxyID) -> [UInt8] {
        var writer = FrameWriter(reserving: 512)
        writer.uint8(FrameType.resume.rawValue)
        writer.streamName(name)
        writer.uint32(epoch)
        writer.proxyID(signer)
        writer.route(route)
        writer.counter(standing.next)
        writer.flag(standing.hasFin)
        return writer.bytes
    }

    package func writeSubject(into writer: inout FrameWriter) {}
}
