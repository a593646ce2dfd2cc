package import NetworkModel

/// The first frame of a lane, in both directions.
///
/// | bytes | field |
/// |---|---|
/// | 34 | ProxyID: SiteID (26 characters), instance (8) |
/// | 1 | minor version of the protocol; from 1 on a sidecar says what it wants (WANTS), from 2 on streams resume, from 3 on there are bulk lanes, from 4 on OPEN may carry bytes |
/// | 1 | 0: gateway; 1: sidecar |
/// | 1 | loops of the sender, 1...64 |
/// | 1 + n | name that the site gives itself, for display |
/// | 1 + n | Link name; empty on the internal port, and in the acceptor's answer |
/// | 8 | heartbeat in microseconds, 10 ms ... 60 s |
/// | 1 | misses, 2...100 |
/// | 8 | grace of connections that lose their path, in microseconds; absent: 10 s. The dialer's counts |
/// | 8 | the acceptor's number of a lane; absent: none. In its answer: of this lane. In the dialer's HELLO: this lane is for bulk, beside that one |
package struct Hello: Frame, Hashable {
    package static let type = FrameType.hello
    package static let mayGrow = true
    package static let minor: UInt8 = 4
    /// The first minor version of sidecars that send WANTS.
    package static let wantsMinor: UInt8 = 1
    /// The first minor version that knows DETACHED, RESUME and RESUMED.
    package static let resumeMinor: UInt8 = 2
    /// The first minor version that has bulk lanes, and knows BULK LANE.
    package static let bulkMinor: UInt8 = 3
    /// The first minor version of sidecars that read policies behind a table.
    package static let policyMinor: UInt8 = 3
    /// The first minor version that reads the client's first bytes in OPEN.
    package static let earlyMinor: UInt8 = 4

    package var proxy: ProxyID
    package var minor: UInt8
    package var isSidecar: Bool
    package var loops: Int
    package var name: String
    package var link: LinkName?
    package var heartbeat: Duration
    package var misses: Int
    /// How long connections over the Link wait for another path; nil: the standard.
    package var resumeGrace: Duration?
    /// The acceptor's number of this lane, in its answer; of the lane beside which this one carries bulk, in the dialer's HELLO.
    package var lane: UInt64? {
        // A field is left out only when all behind it are.
        didSet { if lane != nil { resumeGrace = resumeGrace ?? ResumeGrace.standard } }
    }

    package init(
        proxy: ProxyID,
        isSidecar: Bool,
        loops: Int,
        name: String,
        link: LinkName?,
        heartbeat: Duration,
        misses: Int,
        resumeGrace: Duration? = nil,
        lane: UInt64? = nil,
        minor: UInt8 = Hello.minor
    ) {
        self.proxy = proxy
        self.minor = minor
        self.isSidecar = isSidecar
        self.loops = loops
        self.name = name
        self.link = link
        self.heartbeat = heartbeat
        self.misses = misses
        self.resumeGrace = resumeGrace ?? lane.map { _ in ResumeGrace.standard }
        self.lane = lane
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(proxy)
        writer.uint8(minor)
        writer.flag(isSidecar)
        writer.uint8(UInt8(clamping: loops))
        writer.text8(name)
        writer.text8(link?.text ?? "")
        writer.duration(heartbeat)
        writer.uint8(UInt8(clamping: misses))
        if let resumeGrace { writer.duration(resumeGrace) }
        if let lane { writer.uint64(lane) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        proxy = try reader.proxyID(payload)
        minor = try reader.uint8(payload)
        isSidecar = try reader.flag(payload)
        loops = Int(try reader.uint8(payload))
        guard (1...64).contains(loops) else { throw .invalid(.list) }
        name = try reader.text8(.text, payload)
        let text = try reader.text8(.linkName, payload)
        link = LinkName(text)
        guard text.isEmpty || link != nil else { throw .invalid(.linkName) }
        heartbeat = try reader.duration(payload)
        misses = Int(try reader.uint8(payload))
        guard HeartbeatLimits.interval.contains(heartbeat), HeartbeatLimits.misses.contains(misses)
        else { throw .invalid(.duration) }
        guard reader.remaining(payload) >= 8 else { return }
        // A neighbor cannot make this proxy keep connections for longer.
        let grace = try reader.duration(payload)
        resumeGrace = min(max(grace, ResumeGrace.range.lowerBound), ResumeGrace.range.upperBound)
        guard reader.remaining(payload) >= 8 else { return }
        lane = try reader.uint64(payload)
    }
}

/// Announces that the sender drains; it has no fields.
package struct GoAway: Frame, Hashable {
    package static let type = FrameType.goAway

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

/// Announces that the sender opens no more streams on this lane, and asks for none: others take its place; it has no fields.
///
/// An old proxy ignores it, and goes on.
package struct Retire: Frame, Hashable {
    package static let type = FrameType.retire

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

/// Asks the side that dialed this lane for one beside it that carries bulk; it has no fields.
///
/// An old proxy ignores it.
package struct BulkLane: Frame, Hashable {
    package static let type = FrameType.bulkLane

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

/// Asks the side that dialed this lane for another one in its place, which shows the sender's new credentials; it has no fields.
///
/// An old proxy ignores it.
package struct Renew: Frame, Hashable {
    package static let type = FrameType.renew

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

/// Proves, before HELLO, that the dialer holds a token of this site.
///
/// An old proxy ignores it.
///
/// | bytes | field |
/// |---|---|
/// | 1 + n | name of the grant |
/// | 32 | HMAC-SHA-256 under the digest of the token's secret, over what this TLS session alone has, and both SiteIDs |
package struct JoinClaim: Frame, Hashable {
    package static let type = FrameType.joinClaim
    package static let mayGrow = true
    package static let proofCount = 32

    package var grant: String
    package var proof: [UInt8]

    package init(grant: String, proof: [UInt8]) {
        self.grant = grant
        self.proof = proof
    }

    package func encode(into writer: inout FrameWriter) {
        writer.text8(grant)
        writer.array(proof)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        grant = try reader.text8(.text, payload)
        proof = try reader.array(Self.proofCount, payload)
    }
}

/// Shows that the sender lives, and measures the round trip.
///
/// | bytes | field |
/// |---|---|
/// | 8 | the sender's clock in nanoseconds |
/// | 8 | the neighbor's clock from the last heartbeat that came from it; 0: none came yet |
/// | 8 | nanoseconds between that arrival and this frame |
package struct Heartbeat: Frame, Hashable {
    package static let type = FrameType.heartbeat

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

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        sent = try reader.uint64(payload)
        echo = try reader.uint64(payload)
        held = try reader.uint64(payload)
    }
}

/// The last frame of a side, which ends the lane: why, as a number that means the same to both sides, with words for
/// people.
///
/// | bytes | field |
/// |---|---|
/// | 2 | `CloseCode` |
/// | n | explanation with the remedy, UTF-8, at most 512 bytes |
package struct LaneClosing: Frame, Hashable, CustomStringConvertible {
    package static let type = FrameType.close
    /// Longer text than is allowed is no reason to lose the code.
    package static let mayGrow = true
    private static let explanationCountMax = 512

    /// A `CloseCode`, or a number of a later version.
    package let code: UInt16
    package let explanation: String

    package init(code: UInt16, explanation: String = "") {
        self.code = code
        self.explanation = explanation
    }

    package init(_ reason: CloseCode, _ explanation: String = "") {
        self.init(code: reason.rawValue, explanation: explanation)
    }

    /// Numbers that this version does not know are `.other`.
    package var reason: CloseCode { CloseCode(rawValue: code) ?? .other }

    package var description: String { explanation.isEmpty ? "\(reason)" : explanation }

    package func encode(into writer: inout FrameWriter) {
        writer.uint16(code)
        var text = explanation
        while text.utf8.count > Self.explanationCountMax { text.removeLast() }
        writer.array(text.utf8)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        code = try reader.uint16(payload)
        let count = min(reader.remaining(payload), Self.explanationCountMax)
        explanation = String(decoding: try reader.array(count, payload), as: UTF8.self).printable
    }
}

/// Why a side ended a lane: the number in CLOSE.
package enum CloseCode: UInt16, Hashable, Sendable, CaseIterable {
    case other = 0
    /// The proxy stops.
    case shutdown = 1
    /// The dialer's SiteID is not in `spec.allow`.
    case notAllowed = 2
    /// The dialed site is not the pinned one.
    case siteIDMismatch = 3
    /// Both ends are the same proxy.
    case toSelf = 4
    /// Both ends have the same SiteID, over a Link.
    case duplicateIdentity = 5
    /// HELLO says something else than the certificate.
    case helloContradictsCertificate = 6
    /// A sidecar on a Link, or a gateway of another site on the internal port.
    case wrongRole = 7
    /// A frame that breaks the format or the rules.
    case protocolError = 8
    /// The Link was removed or its parameters changed.
    case configurationChanged = 9
    /// A better lane to the same proxy exists.
    case superfluous = 10
    /// A limit (neighbors, lanes, handshakes) is reached.
    case overloaded = 11
}
