package import NetworkModel

/// Proxies that have ended for certain: a gateway tells its sidecars, which need not wait for them.
///
/// | bytes | field |
/// |---|---|
/// | 2 | number of proxies, at most 1,024 |
/// | ... | ProxyIDs (34) |
package struct ProxiesEnded: Frame, Hashable {
    package static let type = FrameType.ended
    /// As many as fit into a frame.
    package static let limit = 1_024

    package var proxies: [ProxyID]

    package init(_ proxies: [ProxyID]) { self.proxies = proxies }

    package func encode(into writer: inout FrameWriter) {
        writer.count16(proxies.count)
        for proxy in proxies { writer.proxyID(proxy) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        proxies = []
        for _ in 0..<(try reader.count16(limit: Self.limit, payload)) {
            proxies.append(try reader.proxyID(payload))
        }
    }
}
