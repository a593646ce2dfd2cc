import COpenSSL
import CertificateFixtures
import NetworkModel
import TLS
import Testing

@Suite("Foreign clients")
struct ForeignClientTests {
    let site: FixtureSite
    let leaf: FixtureLeaf

    init() throws {
        site = try FixtureSite()
        leaf = try site.leaf()
    }

    private func verdict(
        _ chain: [FixtureCertificate],
        key: FixtureKey? = nil,
        protocols: String = "tieline/1",
        version: Int32 = TLS1_3_VERSION
    ) throws -> TLSError? {
        let server = try MemorySide(site.context(), .server)
        let client = try ForeignClient(
            chain: chain,
            key: key ?? leaf.key,
            protocols: protocols,
            version: version
        )
        let failure = client.run(against: server)
        #expect((failure == nil) == server.isEstablished)
        return failure
    }

    @Test("a client that keeps the rules is let in")
    func good() throws {
        #expect(try verdict([leaf.certificate, leaf.authority]) == nil)
    }

    @Test("a client of TLS 1.2 is not")
    func oldVersion() throws {
        let failure = try verdict([leaf.certificate, leaf.authority], version: TLS1_2_VERSION)
        guard case .library(_, let reason) = failure else { return #expect(Bool(false)) }
        #expect(reason.contains("unsupported protocol"))
    }

    @Test("nor one without a certificate")
    func anonymous() throws {
        guard case .library(_, let reason) = try verdict([]) else { return #expect(Bool(false)) }
        #expect(reason.contains("certificate"))
    }

    @Test("nor one without our protocol", arguments: ["", "h2", "tieline/2"])
    func protocols(_ name: String) throws {
        #expect(try verdict([leaf.certificate, leaf.authority], protocols: name) != nil)
    }

    @Test("a chain of one, three, or in the wrong company is refused")
    func chains() throws {
        #expect(try verdict([leaf.certificate]) == .certificate(.chainCount(1)))
        let three = [leaf.certificate, leaf.authority, leaf.authority]
        #expect(try verdict(three) == .certificate(.chainCount(3)))
        let other = try FixtureSite()
        #expect(try verdict([leaf.certificate, other.authority]) == .certificate(.signature))
    }

    @Test("a self-signed leaf is refused, alone and as its own issuer")
    func selfSigned() throws {
        let key = try FixtureKey(.p256)
        let recipe = CertificateRecipe.leaf("me", uris: [site.uri(.gateway)])
        let own = try FixtureCertificate(recipe, key: key, signedBy: key)
        #expect(try verdict([own], key: key) == .certificate(.chainCount(1)))
        guard case .certificate(.notSiteCA) = try verdict([own, own], key: key) else {
            return #expect(Bool(false))
        }
        guard case .certificate = try verdict([own, site.authority], key: key) else {
            return #expect(Bool(false))
        }
    }

    @Test("an RSA key of 2048 bits is refused")
    func weak() throws {
        let weak = try site.leaf(key: .rsa(bits: 2048))
        let failure = try verdict([weak.certificate, weak.authority], key: weak.key)
        #expect(failure == .certificate(.weakKey(.leaf, "RSA 2048")))
    }

    @Test("a leaf for clients only, or with two names, is refused")
    func misuse() throws {
        let client = try site.leaf { $0.set("extendedKeyUsage", "clientAuth") }
        guard
            case .certificate(.usage) = try verdict(
                [client.certificate, client.authority],
                key: client.key
            )
        else { return #expect(Bool(false)) }
        let two = "URI:\(site.uri(.gateway)),URI:\(site.uri(.sidecar))"
        let named = try site.leaf { $0.set("subjectAltName", two) }
        #expect(
            try verdict([named.certificate, named.authority], key: named.key)
                == .certificate(.names(2))
        )
    }
}
