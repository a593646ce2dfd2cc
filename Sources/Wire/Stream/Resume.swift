package import NetworkModel

/// What the receiver of a direction has, and how much more it takes.
///
/// | bytes | field |
/// |---|---|
/// | 8 | next: the offset of the next byte that is expected |
/// | 1 | whether the FIN behind the byte before has come |
/// | 4 | window: bytes from there on that may be sent |
package struct StreamStanding: Hashable, Sendable {
    package var next: UInt64
    package var hasFin: Bool
    package var window: UInt32

    package init(next: UInt64, hasFin: Bool, window: UInt32) {
        self.next = next
        self.hasFin = hasFin
        self.window = window
    }
}

/// Asks to go on with a stream over another path.
///
/// Only the ingress sends it, under a label of its own choice, as with OPEN. No proxy sends it to a neighbor whose minor
/// version is below `Hello.resumeMinor`.
///
/// | bytes | field |
/// |---|---|
/// | 34 | ingress ProxyID |
/// | 8 | stream number |
/// | 4 | epoch of the attachment: higher than those before |
/// | 1 + 34 n | route, as in OPEN; the last one is the stream's egress |
/// | 1 (+ 34 + 16) | 0: not signed (a sidecar); 1: signer ProxyID, MAC |
/// | 13 | what the ingress has of the server's bytes (`StreamStanding`) |
/// | 0 or 1 | flags, left out when none is set; 1: the stream is bulk, and takes a bulk lane where there is one |
package struct Resume: Frame, Hashable {
    package static let type = FrameType.resume
    package static let mayGrow = true

    package var name: StreamName
    package var epoch: UInt32
    package var route: [ProxyID]
    package var signature: Open.Signature?
    package var standing: StreamStanding
    /// A wish, which each hop grants as it can.
    package var isBulk: Bool

    package init(
        name: StreamName,
        epoch: UInt32,
        route: [ProxyID],
        signature: Open.Signature? = nil,
        standing: StreamStanding,
        isBulk: Bool = false
    ) {
        self.name = name
        self.epoch = epoch
        self.route = route
        self.signature = signature
        self.standing = standing
        self.isBulk = isBulk
    }

    package func encode(into writer: inout FrameWriter) {
        writer.streamName(name)
        writer.uint32(epoch)
        writer.route(route)
        writer.signature(signature)
        writer.standing(standing)
        if isBulk { writer.uint8(1) }
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        name = try reader.streamName(payload)
        epoch = try reader.uint32(payload)
        route = try reader.route(payload)
        guard !route.isEmpty else { throw .invalid(.route) }
        signature = try reader.signature(payload)
        standing = try reader.standing(payload)
        isBulk = try reader.laterFlags(payload) & 1 != 0
    }
}

/// The egress goes on with the stream over this path.
///
/// | bytes | field |
/// |---|---|
/// | 34 | egress ProxyID |
/// | 13 | what the egress has of the client's bytes (`StreamStanding`) |
/// | 8 | the offset of the first byte of the server's that follows: not before the one that RESUME asked for |
/// | 16 | MAC |
package struct Resumed: Frame, Hashable {
    package static let type = FrameType.resumed
    package static let mayGrow = true

    package var egress: ProxyID
    package var standing: StreamStanding
    package var start: UInt64
    package var mac: [UInt8]

    package init(egress: ProxyID, standing: StreamStanding, start: UInt64, mac: [UInt8] = []) {
        self.egress = egress
        self.standing = standing
        self.start = start
        self.mac = mac
    }

    package func encode(into writer: inout FrameWriter) {
        writer.proxyID(egress)
        writer.standing(standing)
        writer.counter(start)
        writer.array(mac)
    }

    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {
        egress = try reader.proxyID(payload)
        standing = try reader.standing(payload)
        start = try reader.counter(payload)
        mac = try reader.array(WireLimit.mac, payload)
    }
}

/// Ends an attachment, not the stream: the sender has lost the path beyond it, or uses another; it has no fields.
///
/// The label is free afterwards. No proxy sends it to a neighbor whose minor version is below `Hello.resumeMinor`.
package struct Detached: Frame, Hashable {
    package static let type = FrameType.detached
    package static let mayGrow = true

    package init() {}
    package init(reading reader: inout FrameReader, _ payload: RawSpan) throws(WireError) {}
    package func encode(into writer: inout FrameWriter) {}
}

extension FrameWriter {
    package mutating func standing(_ standing: StreamStanding) {
        counter(standing.next)
        flag(standing.hasFin)
        uint32(standing.window)
    }

    mutating func signature(_ signature: Open.Signature?) {
        flag(signature != nil)
        guard let signature else { return }
        proxyID(signature.signer)
        array(signature.mac)
    }
}

extension FrameReader {
    mutating func standing(_ payload: RawSpan) throws(WireError) -> StreamStanding {
        StreamStanding(
            next: try counter(payload),
            hasFin: try flag(payload),
            window: min(try uint32(payload), WireLimit.window)
        )
    }

    mutating func signature(_ payload: RawSpan) throws(WireError) -> Open.Signature? {
        guard try flag(payload) else { return nil }
        return Open.Signature(
            signer: try proxyID(payload),
            mac: try array(WireLimit.mac, payload)
        )
    }

    /// Flags that a version which knows of none leaves out: none are set.
    mutating func laterFlags(_ payload: RawSpan) throws(WireError) -> UInt8 {
        remaining(payload) > 0 ? try uint8(payload) : 0
    }
}
