package import NetworkModel

/// The first frame of a lane, in both directions.
///
/// | bytes | field |
/// |---|---|
/// | 34 | ProxyID: SiteID (26 characters), instance (8) |
/// | 1 | minor version of the protocol |
/// | 1 | 0: gateway; 1: edge |
/// | 1 | loops of the sender, 1...64 |
/// | 1 + n | name that the site gives itself, for display |
/// | 1 + n | Link name; empty on the internal port, and in the acceptor's answer |
/// | 8 | heartbeat in microseconds, 10 ms ... 60 s |
/// | 1 | misses, 2...100 |
package struct Hello: Hashable, Sendable {
    package static let minor: UInt8 = 0

    package var proxy: ProxyID
    package var minor: UInt8
    package var isEdge: Bool
    package var loops: Int
    package var name: String
    package var link: LinkName?
    package var heartbeat: Duration
    package var misses: Int

    package init(
        proxy: ProxyID,
        isEdge: Bool,
        loops: Int,
        name: String,
        link: LinkName?,
        heartbeat: Duration,
        misses: Int,
        minor: UInt8 = Hello.minor
    ) {
        self.proxy = proxy
        self.minor = minor
        self.isEdge = isEdge
        self.loops = loops
        self.name = name
        self.link = link
        self.heartbeat = heartbeat
        self.misses = misses
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(proxy)
        writer.uint8(minor)
        writer.flag(isEdge)
        writer.uint8(UInt8(clamping: loops))
        writer.text8(name)
        writer.text8(link?.text ?? "")
        writer.duration(heartbeat)
        writer.uint8(UInt8(clamping: misses))
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Hello {
        var reader = FrameReader()
        let proxy = try reader.proxyID(payload)
        let minor = try reader.uint8(payload)
        let isEdge = try reader.flag(payload)
        let loops = Int(try reader.uint8(payload))
        guard (1...64).contains(loops) else { throw .invalid(.list) }
        let name = try reader.text8(.text, payload)
        let text = try reader.text8(.linkName, payload)
        let link = LinkName(text)
        guard text.isEmpty || link != nil else { throw .invalid(.linkName) }
        let heartbeat = try reader.duration(payload)
        let misses = Int(try reader.uint8(payload))
        guard (.milliseconds(10) ... .seconds(60)).contains(heartbeat),
            (2...100).contains(misses)
        else { throw .invalid(.duration) }
        // What a later minor version appends is not for this one.
        return Hello(
            proxy: proxy,
            isEdge: isEdge,
            loops: loops,
            name: name,
            link: link,
            heartbeat: heartbeat,
            misses: misses,
            minor: minor
        )
    }
}

/// Announces that the sender drains; it has no fields.
package struct GoAway: Hashable, Sendable {
    package init() {}

    package static func decode(_ payload: RawSpan) throws(WireError) -> GoAway {
        try FrameReader().finish(payload)
        return GoAway()
    }
}

/// Why a side ended a lane: the number in a CLOSE.
package enum CloseCode: UInt16, Hashable, Sendable, CaseIterable {
    case other = 0
    /// The proxy stops.
    case shutdown = 1
    /// The dialler's SiteID is not in `spec.allow`.
    case notAllowed = 2
    /// The dialled site is not the pinned one.
    case siteIDMismatch = 3
    /// Both ends are the same proxy.
    case toSelf = 4
    /// Both ends have the same SiteID, over a Link.
    case duplicateIdentity = 5
    /// HELLO says something else than the certificate.
    case helloContradictsCertificate = 6
    /// An edge on a Link, or a gateway of another site on the internal port.
    case wrongRole = 7
    /// A frame that breaks the format or the rules.
    case protocolError = 8
    /// The Link was removed or its parameters changed.
    case configurationChanged = 9
    /// A better lane to the same proxy exists.
    case superfluous = 10
    /// A limit (neighbours, lanes, handshakes) is reached.
    case overloaded = 11
}
