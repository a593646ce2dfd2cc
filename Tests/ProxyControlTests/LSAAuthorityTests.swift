import Certificates
import NetworkModel
import Routing
import TLS
import Telemetry
import Testing
import Wire

@testable import Proxy

@Suite("Signed advertisements")
struct LSAAuthorityTests {
    private func signed(
        _ site: TestSite,
        _ role: ProxyRole = .gateway,
        as origin: SiteID? = nil
    ) throws -> SignedLSA {
        let pem = try site.credentials(role)
        let credentials = try Credentials(
            certificates: Array(pem.certificateChain.utf8),
            privateKey: Array(pem.privateKey.utf8)
        )
        let lsa = LSA(
            origin: ProxyID(site: origin ?? site.id, instance: 5),
            sequence: 1,
            issued: Timestamp.now().seconds,
            agreementKey: X25519PrivateKey().publicKey,
            certificateChain: credentials.chain
        )
        return try LSAAuthority().sign(lsa, with: credentials)
    }

    private var now: Int64 { Timestamp.now().seconds }

    @Test("what a gateway signed is believed, and comes back as it was")
    func believed() throws {
        var authority = LSAAuthority()
        let signed = try signed(TestSite("east"))
        #expect(try authority.verify(signed.bytes, at: now) == signed)
        #expect(try authority.verify(signed.bytes, at: now) == signed, "from the cache")
    }

    @Test("a sidecar's leaf, another site's name, a changed byte, an old leaf: refused")
    func refused() throws {
        var authority = LSAAuthority()
        let (east, west) = (try TestSite("east"), try TestSite("west"))
        let sidecar = try signed(east, .sidecar)
        #expect(throws: LSAAuthority.Refusal.wrongOrigin(sidecar.lsa.origin)) {
            try authority.verify(sidecar.bytes, at: now)
        }
        let stolen = try signed(east, as: west.id)
        #expect(throws: LSAAuthority.Refusal.wrongOrigin(stolen.lsa.origin)) {
            try authority.verify(stolen.bytes, at: now)
        }
        let good = try signed(east)
        // The origin's instance number: the format stays right.
        var changed = good.bytes
        changed[12 + SiteID.length + 3] ^= 1
        #expect(throws: LSAAuthority.Refusal.self) { try authority.verify(changed, at: now) }
        #expect(throws: LSAAuthority.Refusal.self) {
            try authority.verify(good.bytes, at: now + 30 * 24 * 3_600)
        }
        for count in [0, 1, 50, good.bytes.count - 1] {
            #expect(throws: LSAAuthority.Refusal.self) {
                try authority.verify(Array(good.bytes.prefix(count)), at: now)
            }
        }
    }

    @Test("D11: a clock that was set back makes no verdict last")
    func clockSetBack() throws {
        var authority = LSAAuthority()
        let good = try signed(TestSite("east"))
        #expect(try authority.verify(good.bytes, at: now) == good)
        // The certificate is not valid yet by the clock that counts now, however lately it was found good.
        #expect(throws: LSAAuthority.Refusal.self) {
            try authority.verify(good.bytes, at: now - 30 * 24 * 3_600)
        }
        #expect(try authority.verify(good.bytes, at: now) == good)
    }

    @Test("two gateways derive the same MAC key, a third another one")
    func keys() throws {
        let ids = (1...3).map { index in
            ProxyID(
                site: SiteID(publicKeyDigest: Array(repeating: UInt8(index), count: 32)),
                instance: UInt64(index)
            )
        }
        var agreements = ids.map { KeyAgreement(own: $0) }
        func key(_ from: Int, _ to: Int) -> [UInt8]? {
            _ = agreements[from].update([ids[to]: agreements[to].publicKey])
            return agreements[from].ring.key(for: ids[to])
        }
        #expect(key(0, 1) != nil)
        #expect(key(0, 1) == key(1, 0))
        #expect(key(0, 1) != key(0, 2))
        #expect(key(0, 1)?.count == 32)
        // What is said again is not new; what is gone, or no key, gives none, and leaves the others alone.
        func isNew(_ publicKey: [UInt8]?) -> Bool { agreements[0].update([ids[1]: publicKey]) }
        #expect(!isNew(agreements[1].publicKey))
        #expect(isNew(nil))
        #expect(agreements[0].ring.key(for: ids[1]) == nil)
        #expect(isNew([1, 2, 3]))
        #expect(agreements[0].ring.key(for: ids[1]) == nil)
        #expect(agreements[0].ring.key(for: ids[2]) != nil)
    }
}
