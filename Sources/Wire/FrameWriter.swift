package import NetworkModel
import Routing

/// Appends fields to a payload; the counterpart of `FrameReader`.
///
/// Values that the types of `NetworkModel` bound always fit. Free text is cut at its limit.
package struct FrameWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(reserving capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Empties the buffer and keeps its memory.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    package mutating func uint8(_ value: UInt8) { bytes.append(value) }

    package mutating func uint16(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    package mutating func uint32(_ value: UInt32) {
        uint16(UInt16(truncatingIfNeeded: value >> 16))
        uint16(UInt16(truncatingIfNeeded: value))
    }

    package mutating func uint64(_ value: UInt64) {
        uint32(UInt32(truncatingIfNeeded: value >> 32))
        uint32(UInt32(truncatingIfNeeded: value))
    }

    /// Saturates at what `FrameReader.counter` takes.
    package mutating func counter(_ value: UInt64) { uint64(min(value, .counterLimit)) }

    package mutating func flag(_ value: Bool) { uint8(value ? 1 : 0) }

    package mutating func array(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    /// Bytes with a 16-bit length before them.
    package mutating func bytes16(_ value: [UInt8]) {
        precondition(value.count <= Int(UInt16.max), "a field of \(value.count) bytes")
        uint16(UInt16(value.count))
        bytes.append(contentsOf: value)
    }

    /// Text with a length byte before it, cut at 255 bytes.
    package mutating func text8(_ text: String) {
        let cut = Self.cut(text, 255)
        uint8(UInt8(cut.utf8.count))
        bytes.append(contentsOf: cut.utf8)
    }

    /// Whole characters only, so that the cut text is still UTF-8.
    private static func cut(_ text: String, _ limit: Int) -> Substring {
        var cut = text[...]
        while cut.utf8.count > limit { cut.removeLast() }
        return cut
    }

    /// The number of elements of a list.
    package mutating func count16(_ count: Int) {
        precondition(count <= Int(UInt16.max), "a list of \(count) elements")
        uint16(UInt16(count))
    }

    package mutating func siteID(_ site: SiteID) {
        let ascii = site.ascii
        for index in ascii.indices { bytes.append(ascii[index]) }
    }

    package mutating func proxyID(_ proxy: ProxyID) {
        siteID(proxy.site)
        uint64(proxy.instance)
    }

    package mutating func servicePort(_ service: ServicePort) {
        text8(service.address.text)
        text8(service.port.text)
    }

    package mutating func linkName(_ name: LinkName) { text8(name.text) }

    package mutating func route(_ route: [ProxyID]) {
        precondition(route.count <= WireLimit.route, "a route of \(route.count) hops")
        uint8(UInt8(route.count))
        for proxy in route { proxyID(proxy) }
    }

    package mutating func endpoint(_ endpoint: Endpoint) {
        switch endpoint.address {
        case .v4(let value):
            uint8(4)
            uint32(value)
        case .v6(let high, let low):
            uint8(6)
            uint64(high)
            uint64(low)
        }
        uint16(endpoint.port)
    }

    /// Whole microseconds; negative durations become zero.
    package mutating func duration(_ duration: Duration) {
        uint64(UInt64(max(0, duration.wholeNanoseconds / 1_000)))
    }
}

/// The bounds that both ends of a lane hold to.
package enum WireLimit {
    /// Proxies on a route, from the first hop to the egress; a sidecar's gateway is one of them.
    package static let route = RoutingLimits.hops
    /// Routes of equal cost that a sidecar is told for one target.
    package static let routesPerTarget = 8
    /// Payload bytes after which a list is continued in a further frame.
    package static let listPayload = 32_768
    /// Elements of one list in one frame.
    package static let list = 4_096
    /// Bytes of a MAC.
    package static let mac = 16
    /// Bytes of a client that travel with OPEN.
    package static let early = 4_096
    /// The largest window that a receiver may grant.
    package static let window: UInt32 = 16 << 20
}
