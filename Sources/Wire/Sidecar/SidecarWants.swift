package import NetworkModel

/// Which service ports a sidecar has clients for: its gateway tells it of these, and of no others.
///
/// Sent after HELLO by sidecars of minor version 1 and later.
///
/// | bytes | field |
/// |---|---|
/// | 1 | 1: everything, as the list would be too long |
/// | 2 | number of service ports, at most 4,096 |
/// | ... | service ports: address (1 + n), port name (1 + n) |
package struct SidecarWants: Frame, Hashable {
    package static let type = FrameType.wants

    package var isEverything: Bool
    package var services: [ServicePort]

    /// A list that does not fit into a frame becomes "everything".
    package init(_ services: [ServicePort]) {
        let bytes = services.reduce(0) { $0 + 2 + $1.description.utf8.count }
        isEverything = services.count > WireLimit.list || bytes > WireLimit.listPayload
        self.services = isEverything ? [] : services
    }

    package func encode(into writer: inout FrameWriter) {
        writer.flag(isEverything)
        writer.count16(services.count)
        for service in services { writer.servicePort(service) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        isEverything = try reader.flag(payload)
        services = []
        for _ in 0..<(try reader.count16(limit: WireLimit.list, payload)) {
            services.append(try reader.servicePort(payload))
        }
    }
}
