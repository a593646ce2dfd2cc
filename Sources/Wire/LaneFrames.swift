package import NetworkModel

/// The first frame of a lane, in both directions.
///
/// | bytes | field |
/// |---|---|
/// | 34 | ProxyID: SiteID (26 characters), instance (8) |
/// | 1 | minor version of the protocol |
/// | 1 | role: 0 gateway, 1 edge |
/// | 1 | loops of the sender, 1...64 |
/// | 1 + n | name that the site gives itself, for display |
/// | 1 + n | Link name; empty on the internal port, and in the acceptor's answer |
/// | 8 | heartbeat in microseconds, 10 ms ... 60 s |
/// | 1 | misses, 2...100 |
package struct Hello: Hashable, Sendable {
    package static let minor: UInt8 = 0

    package var proxy: ProxyID
    package var minor: UInt8
    package var role: ProxyRole
    package var loops: Int
    package var name: String
    package var link: LinkName?
    package var heartbeat: Duration
    package var misses: Int

    package init(
        proxy: ProxyID,
        role: ProxyRole,
        loops: Int,
        name: String,
        link: LinkName?,
        heartbeat: Duration,
        misses: Int,
        minor: UInt8 = Hello.minor
    ) {
        self.proxy = proxy
        self.minor = minor
        self.role = role
        self.loops = loops
        self.name = name
        self.link = link
        self.heartbeat = heartbeat
        self.misses = misses
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(proxy)
        writer.uint8(minor)
        writer.uint8(role.rawValue)
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
        guard let role = ProxyRole(rawValue: try reader.uint8(payload)) else {
            throw .invalid(.role)
        }
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
            role: role,
            loops: loops,
            name: name,
            link: link,
            heartbeat: heartbeat,
            misses: misses,
            minor: minor
        )
    }
}

/// Shows that the sender lives, and measures the round trip.
///
/// | bytes | field |
/// |---|---|
/// | 8 | the sender's clock in nanoseconds |
/// | 8 | the neighbour's clock from the last heartbeat that came from it; 0: none came yet |
/// | 8 | nanoseconds between that arrival and this frame |
package struct Heartbeat: Hashable, Sendable {
    package static let size = 24

    package var sent: UInt64
    package var echo: UInt64
    package var held: UInt64

    package init(sent: UInt64, echo: UInt64, held: UInt64) {
        self.sent = sent
        self.echo = echo
        self.held = held
    }

    package func encode(into writer: inout FrameWriter) {
        writer.uint64(sent)
        writer.uint64(echo)
        writer.uint64(held)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Heartbeat {
        var reader = FrameReader()
        let heartbeat = Heartbeat(
            sent: try reader.uint64(payload),
            echo: try reader.uint64(payload),
            held: try reader.uint64(payload)
        )
        try reader.finish(payload)
        return heartbeat
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

/// Ends a lane and says why; nothing follows it.
///
/// | bytes | field |
/// |---|---|
/// | 1 | reason |
/// | 2 + n | text for a person, with the remedy, at most 512 bytes |
package struct Close: Hashable, Sendable {
    /// Unknown numbers are read as `other`.
    package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
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

    package var reason: Reason
    package var text: String

    package init(reason: Reason, text: String = "") {
        self.reason = reason
        self.text = text
    }

    package func encode(into writer: inout FrameWriter) {
        writer.uint8(reason.rawValue)
        writer.text16(text, limit: WireLimit.text)
    }

    package static func decode(_ payload: RawSpan) throws(WireError) -> Close {
        var reader = FrameReader()
        let reason = Reason(rawValue: try reader.uint8(payload)) ?? .other
        let text = try reader.text16(limit: WireLimit.text, payload)
        try reader.finish(payload)
        return Close(reason: reason, text: text)
    }
}
