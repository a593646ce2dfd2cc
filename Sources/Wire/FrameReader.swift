package import NetworkModel

/// Reads fields one after the other from a payload, checking every length.
///
/// It holds the offset only; the payload is passed to each call, as a span cannot be stored.
package struct FrameReader: Sendable {
    package private(set) var offset: Int

    package init(offset: Int = 0) { self.offset = offset }

    /// How many bytes are left.
    package func remaining(_ bytes: RawSpan) -> Int { bytes.byteCount - offset }

    /// Fails when bytes are left: each frame of this version has exactly its fields.
    package func finish(_ bytes: RawSpan) throws(WireError) {
        guard remaining(bytes) == 0 else { throw .trailing(count: remaining(bytes)) }
    }

    private mutating func take(_ count: Int, _ bytes: RawSpan) throws(WireError) -> Int {
        guard count <= remaining(bytes) else { throw .truncated(offset: offset) }
        defer { offset += count }
        return offset
    }

    package mutating func uint8(_ bytes: RawSpan) throws(WireError) -> UInt8 {
        let start = try take(1, bytes)
        return unsafe bytes.unsafeLoad(fromByteOffset: start, as: UInt8.self)
    }

    package mutating func uint16(_ bytes: RawSpan) throws(WireError) -> UInt16 {
        let start = try take(2, bytes)
        return unsafe UInt16(
            bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt16.self)
        )
    }

    package mutating func uint32(_ bytes: RawSpan) throws(WireError) -> UInt32 {
        let start = try take(4, bytes)
        return unsafe UInt32(
            bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt32.self)
        )
    }

    package mutating func uint64(_ bytes: RawSpan) throws(WireError) -> UInt64 {
        let start = try take(8, bytes)
        return unsafe UInt64(
            bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self)
        )
    }

    /// Something counted, at most `UInt64.counterLimit`: sums over the proxies of a site do not overflow.
    package mutating func counter(_ bytes: RawSpan) throws(WireError) -> UInt64 {
        let count = try uint64(bytes)
        guard count <= .counterLimit else { throw .invalid(.counter) }
        return count
    }

    /// A byte that is 0 or 1.
    package mutating func flag(_ bytes: RawSpan) throws(WireError) -> Bool {
        switch try uint8(bytes) {
        case 0: return false
        case 1: return true
        default: throw .invalid(.flags)
        }
    }

    /// Exactly `count` bytes.
    package mutating func array(_ count: Int, _ bytes: RawSpan) throws(WireError) -> [UInt8] {
        let start = try take(count, bytes)
        return unsafe bytes.extracting(start..<start + count).withUnsafeBytes { unsafe Array($0) }
    }

    /// Bytes with a 16-bit length before them.
    package mutating func bytes16(
        _ field: WireError.Field,
        limit: Int,
        _ bytes: RawSpan
    ) throws(WireError) -> [UInt8] {
        let count = Int(try uint16(bytes))
        guard count <= limit else { throw .tooLong(field: field, count: count, limit: limit) }
        return try array(count, bytes)
    }

    /// UTF-8 text of `count` bytes.
    private mutating func string(
        _ count: Int,
        _ field: WireError.Field,
        _ bytes: RawSpan
    ) throws(WireError) -> String {
        let start = try take(count, bytes)
        let text = unsafe bytes.extracting(start..<start + count).withUnsafeBytes {
            unsafe String(validating: $0, as: UTF8.self)
        }
        guard let text else { throw .invalid(field) }
        return text
    }

    /// Text with a length byte before it, as it can be shown to people (`String.printable`).
    package mutating func text8(
        _ field: WireError.Field,
        _ bytes: RawSpan
    ) throws(WireError) -> String {
        try string(Int(uint8(bytes)), field, bytes).printable
    }

    /// The number of elements of a list, at most `limit`.
    package mutating func count16(
        _ field: WireError.Field = .list,
        limit: Int,
        _ bytes: RawSpan
    ) throws(WireError) -> Int {
        let count = Int(try uint16(bytes))
        guard count <= limit else { throw .tooLong(field: field, count: count, limit: limit) }
        return count
    }

    package mutating func siteID(_ bytes: RawSpan) throws(WireError) -> SiteID {
        let start = try take(SiteID.length, bytes)
        guard let site = SiteID(ascii: bytes.extracting(start..<start + SiteID.length)) else {
            throw .invalid(.siteID)
        }
        return site
    }

    package mutating func proxyID(_ bytes: RawSpan) throws(WireError) -> ProxyID {
        let site = try siteID(bytes)
        let instance = try uint64(bytes)
        guard instance != 0 else { throw .invalid(.proxyID) }
        return ProxyID(site: site, instance: instance)
    }

    package mutating func servicePort(_ bytes: RawSpan) throws(WireError) -> ServicePort {
        guard let address = ServiceAddress(try text8(.serviceAddress, bytes)) else {
            throw .invalid(.serviceAddress)
        }
        guard let port = PortName(try text8(.portName, bytes)) else { throw .invalid(.portName) }
        return ServicePort(address: address, port: port)
    }

    package mutating func linkName(_ bytes: RawSpan) throws(WireError) -> LinkName {
        guard let name = LinkName(try text8(.linkName, bytes)) else { throw .invalid(.linkName) }
        return name
    }

    /// At most `WireLimit.route` distinct proxies.
    package mutating func route(_ bytes: RawSpan) throws(WireError) -> [ProxyID] {
        let count = Int(try uint8(bytes))
        guard count <= WireLimit.route else {
            throw .tooLong(field: .route, count: count, limit: WireLimit.route)
        }
        var route: [ProxyID] = []
        route.reserveCapacity(count)
        for _ in 0..<count {
            let proxy = try proxyID(bytes)
            guard !route.contains(proxy) else { throw .invalid(.route) }
            route.append(proxy)
        }
        return route
    }

    package mutating func endpoint(_ bytes: RawSpan) throws(WireError) -> Endpoint {
        let address: IPAddress
        switch try uint8(bytes) {
        case 4: address = .v4(try uint32(bytes))
        case 6: address = .v6(try uint64(bytes), try uint64(bytes))
        default: throw .invalid(.ipAddress)
        }
        return Endpoint(address: address, port: try uint16(bytes))
    }

    /// Whole microseconds in 64 bits, at most about 292,000 years.
    package mutating func duration(_ bytes: RawSpan) throws(WireError) -> Duration {
        let microseconds = try uint64(bytes)
        guard microseconds <= UInt64(Int64.max) else { throw .invalid(.duration) }
        return .microseconds(Int64(microseconds))
    }
}

extension [UInt8] {
    /// Lends the bytes to a decoder.
    package func withRawSpan<Result, Failure>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe span.bytes)
    }
}
