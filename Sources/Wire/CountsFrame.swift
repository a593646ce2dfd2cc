package import NetworkModel

/// Open connections per service port and target site, as one origin counts them.
///
/// The counts of an origin replace each other: frames with a lower or equal version than the newest seen of that
/// origin are ignored, and applying one twice changes nothing.
///
/// | bytes | field |
/// |---|---|
/// | 34 | origin: the proxy whose clients are counted; a gateway's own ProxyID towards its edges (the sum) |
/// | 8 | version, increasing with every frame of this origin |
/// | 1 | 1: whatever is not listed is zero; 0: whatever is not listed is unchanged |
/// | 2 | number of entries, at most 4,096 |
/// | ... | entries: service address (1 + n), port name (1 + n), target SiteID (26), open (8) |
package struct Counts: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var service: ServicePort
        package var target: SiteID
        package var open: UInt64

        package init(service: ServicePort, target: SiteID, open: UInt64) {
            self.service = service
            self.target = target
            self.open = open
        }
    }

    package var origin: ProxyID
    package var version: UInt64
    package var isFull: Bool
    package var entries: [Entry]

    package init(origin: ProxyID, version: UInt64, isFull: Bool, entries: [Entry]) {
        self.origin = origin
        self.version = version
        self.isFull = isFull
        self.entries = entries
    }

    /// Writes as many entries from `start` on as one frame should hold, and returns the index of the next one.
    ///
    /// A list that needs several frames is sent as one full frame and changes with higher versions.
    package func encode(into writer: inout FrameWriter, from start: Int = 0) -> Int {
        var end = start
        var size = 0
        while end < entries.count, size < WireLimit.listPayload, end - start < WireLimit.list {
            size += entries[end].service.encodedSize + SiteID.length + 8
            end += 1
        }
        writer.proxyID(origin)
        writer.uint64(version)
        writer.flag(isFull)
        writer.count16(end - start)
        for entry in entries[start..<end] {
            writer.servicePort(entry.service)
            writer.siteID(entry.target)
            writer.uint64(entry.open)
        }
        return end
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Counts {
        var reader = FrameReader()
        var counts = Counts(
            origin: try reader.proxyID(payload),
            version: try reader.uint64(payload),
            isFull: try reader.flag(payload),
            entries: []
        )
        let count = try reader.count16(limit: WireLimit.list, payload)
        counts.entries.reserveCapacity(count)
        for _ in 0..<count {
            counts.entries.append(
                Entry(
                    service: try reader.servicePort(payload),
                    target: try reader.siteID(payload),
                    open: try reader.uint64(payload)
                )
            )
        }
        try reader.finish(payload)
        return counts
    }
}

extension ServicePort {
    /// Bytes of the two names with their length bytes.
    var encodedSize: Int { 2 + address.text.utf8.count + port.text.utf8.count }
}
