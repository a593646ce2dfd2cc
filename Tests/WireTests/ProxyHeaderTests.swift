import NetworkModel
import Testing

@testable import Wire

@Suite("Header of the PROXY protocol")
struct ProxyHeaderTests {
    private func endpoint(_ address: String, _ port: UInt16) throws -> Endpoint {
        Endpoint(address: try #require(IPAddress(address)), port: port)
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    // Written by hand from section 2.2 of proxy-protocol.txt.
    private let signature = "0d0a0d0a000d0a515549540a"

    @Test("IPv4: 28 bytes, PROXY, TCP over IPv4")
    func v4() throws {
        let header = ProxyHeader.proxied(
            client: try endpoint("192.0.2.1", 56_324),
            server: try endpoint("10.1.2.3", 443)
        )
        #expect(hex(header) == signature + "2111000c" + "c0000201" + "0a010203" + "dc04" + "01bb")
        #expect(header.count == 28)
    }

    @Test("IPv6: 52 bytes, PROXY, TCP over IPv6")
    func v6() throws {
        let header = ProxyHeader.proxied(
            client: try endpoint("2001:db8::1", 1),
            server: try endpoint("fd00::2", 65_535)
        )
        let addresses = "20010db8000000000000000000000001" + "fd000000000000000000000000000002"
        #expect(hex(header) == signature + "21210024" + addresses + "0001" + "ffff")
        #expect(header.count == 52)
    }

    @Test("two families: the IPv4 address is mapped, on either side")
    func mixed() throws {
        let (v4, v6) = (try endpoint("192.0.2.1", 7), try endpoint("fd00::2", 8))
        let mapped = "00000000000000000000ffffc0000201"
        let six = "fd000000000000000000000000000002"
        #expect(
            hex(ProxyHeader.proxied(client: v4, server: v6))
                == signature + "21210024" + mapped + six + "0007" + "0008"
        )
        #expect(
            hex(ProxyHeader.proxied(client: v6, server: v4))
                == signature + "21210024" + six + mapped + "0008" + "0007"
        )
    }

    @Test("a connection of the proxy's own is LOCAL, without addresses")
    func local() { #expect(hex(ProxyHeader.local) == signature + "20000000") }
}
