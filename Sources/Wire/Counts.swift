package import NetworkModel

/// Open connections per service port and target site, as one origin counts them.
///
/// The counts of an origin replace each other: frames with a lower or equal version than the newest seen of that
/// origin are ignored, and applying one twice changes nothing. What a reporter said in frames that were lost with a
/// lane is made good by `Extent.anew`, which it sends before it tells everything again.
///
/// | bytes | field |
/// |---|---|
/// | 34 | origin: the proxy whose clients are counted; a gateway's own ProxyID towards its sidecars (the sum) |
/// | 8 | version, increasing with every frame of the sender |
/// | 1 | `Extent` |
/// | 2 | number of entries, at most 4,096 |
/// | ... | entries: service address (1 + n), port name (1 + n), target SiteID (26), open (8), at most 2^48 |
package struct Counts: Frame, Hashable {
    package static let type = FrameType.counts

    package struct Entry: Hashable, Sendable {
        package var service: ServicePort
        package var target: SiteID
        package var open: UInt64

        package init(service: ServicePort, target: SiteID, open: UInt64) {
            self.service = service
            self.target = target
            self.open = open
        }

        fileprivate func encode(into writer: inout FrameWriter) {
            writer.servicePort(service)
            writer.siteID(target)
            writer.counter(open)
        }
    }

    /// What the frame says of that which it does not list.
    package enum Extent: UInt8, Hashable, Sendable, CaseIterable {
        /// It is unchanged.
        case changes = 0
        /// This origin has no other open connections.
        case origin = 1
        /// As `origin`; and whatever the sender said before, of any origin, is void.
        case anew = 2
    }

    package var origin: ProxyID
    package var version: UInt64
    package var extent: Extent
    package var entries: [Entry]

    package init(origin: ProxyID, version: UInt64, extent: Extent, entries: [Entry]) {
        self.origin = origin
        self.version = version
        self.extent = extent
        self.entries = entries
    }

    /// The same counts in frames that each fit: the first with this extent, changes with higher versions after it.
    package func fragments() -> [Counts] {
        var packer = ListPacker(
            first: Counts(origin: origin, version: version, extent: extent, entries: []),
            next: Counts(origin: origin, version: version, extent: .changes, entries: [])
        )
        for entry in entries { packer.add(entry.encode) { $0.entries.append(entry) } }
        return packer.frames.enumerated().map { index, frame in
            var frame = frame
            frame.version += UInt64(index)
            return frame
        }
    }

    /// Writes one fragment.
    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(origin)
        writer.uint64(version)
        writer.uint8(extent.rawValue)
        writer.count16(entries.count)
        for entry in entries { entry.encode(into: &writer) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        origin = try reader.proxyID(payload)
        version = try reader.uint64(payload)
        guard let extent = Extent(rawValue: try reader.uint8(payload)) else {
            throw .invalid(.flags)
        }
        self.extent = extent
        let count = try reader.count16(limit: WireLimit.list, payload)
        entries = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            entries.append(
                Entry(
                    service: try reader.servicePort(payload),
                    target: try reader.siteID(payload),
                    open: try reader.counter(payload)
                )
            )
        }
    }
}
