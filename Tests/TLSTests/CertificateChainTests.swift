import CertificateFixtures
import Glibc
import NetworkModel
import TLS
import Testing

@Suite("Certificate chains")
struct CertificateChainTests {
    private var now: Int64 { Int64(time(nil)) }

    private func refusal(_ chain: [[UInt8]], at time: Int64? = nil) -> CertificateError? {
        do throws(CertificateError) {
            _ = try CertificateChain.verify(chain, at: time ?? now)
            return nil
        } catch { return error }
    }

    @Test("a leaf speaks for the site whose key signed it")
    func valid() throws {
        for kind in [FixtureKey.Kind.p256, .p384, .ed25519, .rsa(bits: 3072)] {
            let site = try FixtureSite(key: kind)
            for role in ProxyRole.allCases {
                let identity = try CertificateChain.verify(site.leaf(role).chain, at: now)
                #expect(identity.site == site.id)
                #expect(identity.role == role)
            }
        }
    }

    @Test("dates have five minutes of slack, and a future date is a matter of clocks")
    func dates() throws {
        let site = try FixtureSite { $0.notBefore = -10_000_000 }
        let chain = try site.leaf { ($0.notBefore, $0.notAfter) = (-1000, 1000) }.chain
        #expect(refusal(chain, at: now + 1000 + 290) == nil)
        #expect(refusal(chain, at: now - 1000 - 290) == nil)
        let expired = try #require(refusal(chain, at: now + 1000 + 310))
        guard case .expired(.leaf, let ago) = expired else { return #expect(Bool(false)) }
        #expect((305...315).contains(ago))
        #expect(!expired.isClockSkew)
        let early = try #require(refusal(chain, at: now - 1000 - 310))
        guard case .notYetValid(.leaf, _) = early else { return #expect(Bool(false)) }
        #expect(early.isClockSkew)
        let late = try #require(refusal(chain, at: now + 10_000_000))
        guard case .expired(.authority, _) = late else { return #expect(Bool(false)) }
    }

    @Test("another site's name is refused: only the signing key counts")
    func wrongSite() throws {
        let (site, other) = (try FixtureSite(), try FixtureSite())
        let chain = try site.leaf { $0.set("subjectAltName", "URI:" + other.uri(.gateway)) }.chain
        #expect(refusal(chain) == .siteMismatch(derived: site.id, named: other.id.text))
        // The other site's CA beside our leaf: the names match (both are called "site"), the key does not.
        #expect(refusal([try site.leaf().certificate.der, other.authority.der]) == .signature)
    }

    @Test("exactly one URI names the leaf")
    func names() throws {
        let site = try FixtureSite()
        let two = "URI:\(site.uri(.gateway)),URI:\(site.uri(.sidecar))"
        #expect(refusal(try site.leaf { $0.set("subjectAltName", two) }.chain) == .names(2))
        #expect(refusal(try site.leaf { $0.set("subjectAltName", "") }.chain) == .names(0))
        #expect(
            refusal(try site.leaf { $0.set("subjectAltName", "DNS:a.example") }.chain) == .names(0)
        )
        let uris = [
            "spiffe://tieline/site/\(site.id)", "spiffe://tieline/site/\(site.id)/admin",
            "spiffe://tieline/site/\(site.id)/gateway/", "spiffe://other/site/\(site.id)/gateway",
            "spiffe://tieline/site/\(site.id.text.lowercased())/gateway", "https://example.com/",
        ]
        for uri in uris {
            let chain = try site.leaf { $0.set("subjectAltName", "URI:\(uri)") }.chain
            #expect(refusal(chain) == .name(uri))
        }
    }

    @Test("the leaf is for clients and servers and signs")
    func usage() throws {
        let site = try FixtureSite()
        let changes: [(String, String)] = [
            ("extendedKeyUsage", "clientAuth"), ("extendedKeyUsage", "serverAuth"),
            ("extendedKeyUsage", ""), ("keyUsage", "critical,keyAgreement"),
            ("1.2.3.4.5", "critical,DER:0500"),
        ]
        for (name, value) in changes {
            let chain = try site.leaf { $0.set(name, value) }.chain
            guard case .usage = refusal(chain) else {
                Issue.record("\(name)=\(value): \(String(describing: refusal(chain)))")
                continue
            }
        }
        let authority = try site.leaf { $0.set("basicConstraints", "critical,CA:true") }.chain
        guard case .issuer = refusal(authority) else { return #expect(Bool(false)) }
    }

    @Test("the site CA is a CA")
    func authority() throws {
        let changes: [(String, String)] = [
            ("basicConstraints", ""), ("basicConstraints", "critical,CA:false"),
            ("keyUsage", "critical,digitalSignature"), ("1.2.3.4.5", "critical,DER:0500"),
        ]
        for (name, value) in changes {
            let site = try FixtureSite { $0.set(name, value) }
            let error = refusal(try site.leaf().chain)
            guard case .notSiteCA = error else {
                Issue.record("\(name)=\(value): \(String(describing: error))")
                continue
            }
        }
    }

    @Test("weak and uncommon keys are refused on both certificates")
    func keys() throws {
        for kind in [FixtureKey.Kind.rsa(bits: 2048), .p521] {
            let weak = try FixtureSite(key: kind)
            guard case .weakKey(.authority, _) = refusal(try weak.leaf().chain) else {
                return #expect(Bool(false))
            }
            guard case .weakKey(.leaf, _) = refusal(try FixtureSite().leaf(key: kind).chain) else {
                return #expect(Bool(false))
            }
        }
    }

    @Test("a chain is a leaf and its CA, in this order")
    func shape() throws {
        let site = try FixtureSite()
        let chain = try site.leaf().chain
        #expect(refusal([]) == .chainCount(0))
        #expect(refusal([chain[0]]) == .chainCount(1))
        #expect(refusal(chain + [chain[1]]) == .chainCount(3))
        #expect(refusal([chain[1], chain[0]]) != nil)
        #expect(refusal([chain[0], chain[0]]) != nil)
        #expect(refusal([chain[0], chain[1] + [0]]) == .undecodable("the site CA's certificate"))
        #expect(refusal([[0x30, 0x03], chain[1]]) == .undecodable("the leaf certificate"))
        let old = try site.leaf { $0.usesSHA1 = true }.chain
        #expect(refusal(old) == .signature)
    }

    @Test("no mutation of a single byte of the leaf is accepted as another identity")
    func mutations() throws {
        let site = try FixtureSite()
        let chain = try site.leaf().chain
        let valid = try CertificateChain.verify(chain, at: now)
        for offset in chain[0].indices {
            var leaf = chain[0]
            leaf[offset] ^= 0x41
            if let identity = try? CertificateChain.verify([leaf, chain[1]], at: now) {
                #expect(identity == valid, "offset \(offset)")
            }
        }
    }

    @Test("credentials are a fitting pair of one chain and one key")
    func credentials() throws {
        let site = try FixtureSite()
        let leaf = try site.leaf()
        let credentials = try leaf.credentials()
        #expect(credentials.identity.site == site.id)
        #expect(credentials.chain == leaf.chain)
        #expect(abs(credentials.notAfter - now - 7 * 24 * 3600) < 10)
        let pem = leaf.certificate.pem + leaf.authority.pem
        #expect(throws: TLSError.self) {
            try Credentials(certificates: pem, privateKey: FixtureKey(.p256).pem)
        }
        #expect(throws: TLSError.certificate(.chainCount(1))) {
            try Credentials(certificates: leaf.certificate.pem, privateKey: leaf.key.pem)
        }
        for garbage in [[], Array("garbage".utf8), Array("-----BEGIN CERTIFICATE-----\nx".utf8)] {
            #expect(throws: TLSError.self) {
                try Credentials(certificates: garbage, privateKey: leaf.key.pem)
            }
            #expect(throws: TLSError.self) {
                try Credentials(certificates: pem, privateKey: garbage)
            }
        }
    }
}
