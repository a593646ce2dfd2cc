import NetworkModel
import ProxyContract
import Testing

@testable import SiteControl

@Suite("Refused links")
struct RefusalListTests {
    private func name(_ number: Int) -> SiteName {
        var digest = [UInt8](repeating: 0, count: 32)
        digest[0] = UInt8(number & 255)
        digest[1] = UInt8(number >> 8)
        return SiteName(id: SiteID(publicKeyDigest: digest), name: "s\(number)")
    }

    private let stranger = IPAddress.v4(0x0A00_0001)

    @Test("D11: ever new identities from one address push nobody else out of the list")
    func flood() {
        var list = RefusalList()
        for number in 1...3 {
            let address = IPAddress.v4(0x0A00_0100 + UInt32(number))
            _ = list.add(
                name(number),
                .notAllowed,
                from: address,
                time: Timestamp(seconds: Int64(number))
            )
        }
        for number in 100..<1_100 {
            _ = list.add(
                name(number),
                .notAllowed,
                from: stranger,
                time: Timestamp(seconds: Int64(number))
            )
        }
        let names = Set(list.links.map(\.site.name))
        #expect(names.isSuperset(of: ["s1", "s2", "s3"]))
        #expect(list.links.count <= RefusalList.limit)
    }

    @Test("D11: a flood of one cause is one line in ten seconds, which says how many were left out")
    func lines() {
        var list = RefusalList()
        let start = Instant(nanoseconds: 1_000_000_000)
        let lines = (0..<1_000).compactMap { number in
            list.mayLog(.notAllowed, at: start + .milliseconds(number))
        }
        #expect(lines == [0])
        #expect(list.mayLog(.duplicateIdentity, at: start + .seconds(1)) == 0)
        #expect(list.mayLog(.notAllowed, at: start + .seconds(11)) == 999)
    }
}
