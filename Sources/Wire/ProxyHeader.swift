package import NetworkModel

/// The header of the PROXY protocol, version 2: the first bytes of a connection, which tell a server who its client is.
///
/// As haproxy's `proxy-protocol.txt`, section 2.2, has it; it is no frame of a lane.
///
/// | bytes | field |
/// |---|---|
/// | 12 | 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A |
/// | 1 | version and command: 21 PROXY, 20 LOCAL |
/// | 1 | family and transport: 11 TCP over IPv4, 21 TCP over IPv6, 00 none |
/// | 2 | bytes that follow: 12, 36 or 0 |
/// | 4 + 4 or 16 + 16 | the client's address, and the one that it is connected to |
/// | 2 + 2 | the ports |
package enum ProxyHeader {
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// Before what a client sends; `server` is where the connection leads.
    ///
    /// Both addresses have one family there: an IPv4 address beside an IPv6 one is written as the IPv6 address that maps it.
    package static func proxied(client: Endpoint, server: Endpoint) -> [UInt8] {
        var writer = FrameWriter(reserving: 52)
        writer.array(signature)
        writer.uint8(0x21)
        if case .v4(let source) = client.address, case .v4(let destination) = server.address {
            writer.uint8(0x11)
            writer.uint16(12)
            writer.uint32(source)
            writer.uint32(destination)
        } else {
            writer.uint8(0x21)
            writer.uint16(36)
            for address in [client.address, server.address] {
                let (high, low) = address.asV6
                writer.uint64(high)
                writer.uint64(low)
            }
        }
        writer.uint16(client.port)
        writer.uint16(server.port)
        return writer.bytes
    }

    /// Of a connection that this proxy makes for itself: it looks whether the server is there.
    package static let local: [UInt8] = signature + [0x20, 0x00, 0x00, 0x00]
}

extension IPAddress {
    fileprivate var asV6: (UInt64, UInt64) {
        switch self {
        case .v4(let value): (0, 0xFFFF << 32 | UInt64(value))
        case .v6(let high, let low): (high, low)
        }
    }
}
