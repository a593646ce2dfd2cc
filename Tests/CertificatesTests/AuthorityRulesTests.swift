import CertificateFixtures
import Foundation
import NetworkModel
import TLS
import Testing

@testable import Certificates

/// A CA that somebody brings: taken here if, and only if, every lane takes it.
@Suite("A brought authority")
struct AuthorityRulesTests {
    private let now = Date()

    private func read(_ site: FixtureSite) throws -> SiteAuthority {
        try SiteAuthority(
            certificatePEM: String(decoding: site.authority.pem, as: UTF8.self),
            keyPEM: String(decoding: site.key.pem, as: UTF8.self),
            now: now
        )
    }

    private func isTakenByLanes(_ site: FixtureSite) throws -> Bool {
        let time = Int64(now.timeIntervalSince1970)
        do {
            _ = try CertificateChain.verify(site.leaf().chain, at: time)
            return true
        } catch is CertificateError {
            return false
        }
    }

    @Test(
        "keys that links take make an identity, and leafs that lanes take",
        arguments: [.p256, .p384, .ed25519, .rsa(bits: 3_072)] as [FixtureKey.Kind]
    )
    func accepted(kind: FixtureKey.Kind) throws {
        let site = try FixtureSite(key: kind)
        let authority = try read(site)
        #expect(authority.siteID == site.id)
        let leaf = try authority.issueLeaf(role: .sidecar, now: now)
        let credentials = try Credentials(
            certificates: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.keyPEM.utf8)
        )
        let identity = try CertificateChain.verify(
            credentials.chain,
            at: Int64(now.timeIntervalSince1970)
        )
        #expect(identity.site == site.id && identity.role == .sidecar)
    }

    @Test(
        "keys that links do not take are refused, with those that they do",
        arguments: [(.p521, "EC secp521r1"), (.rsa(bits: 2_048), "RSA 2048")]
            as [(FixtureKey.Kind, String)]
    )
    func keys(kind: FixtureKey.Kind, name: String) throws {
        let site = try FixtureSite(key: kind)
        try expectRefusal(
            of: site,
            naming: [name, "P-256, P-384, Ed25519 and RSA of at least 3072"]
        )
    }

    @Test("any path length, or none, as cert-manager makes it, is taken; no CA is not")
    func pathLength() throws {
        for constraints in ["critical,CA:true", "critical,CA:true,pathlen:1"] {
            let site = try FixtureSite { $0.set("basicConstraints", constraints) }
            #expect(try read(site).siteID == site.id)
            #expect(try isTakenByLanes(site))
        }
        let leaf = try FixtureSite { $0.set("basicConstraints", "critical,CA:false") }
        try expectRefusal(of: leaf, naming: ["CA:TRUE"])
    }

    @Test("somebody is told a week before a CA ends, or in the last sixth of a short life")
    func warning() throws {
        let day = 86_400
        for (life, left) in [(90 * day, 7 * day), (6 * day, day)] {
            let site = try FixtureSite {
                $0.notBefore = 0
                $0.notAfter = life
            }
            let authority = try read(site)
            #expect(authority.notAfter.timeIntervalSince(authority.warning) == Double(left))
        }
    }

    @Test("a leaf that ends with its CA is not renewed: the next one would end then as well")
    func bounded() throws {
        let site = try FixtureSite { $0.notAfter = 3_600 }
        let authority = try read(site)
        let leaf = try authority.issueLeaf(role: .gateway, now: Date())
        #expect(leaf.notAfter == authority.notAfter)
        #expect(LeafCertificate.authorityEnd(chainPEM: leaf.chainPEM) == authority.notAfter)
        #expect(!LeafCertificate.needsRenewal(chainPEM: leaf.chainPEM, now: authority.notAfter))
    }

    @Test("a key usage without signing certificates is refused, none at all is not")
    func keyUsage() throws {
        let site = try FixtureSite { $0.set("keyUsage", "critical,cRLSign") }
        try expectRefusal(of: site, naming: ["keyUsage keyCertSign"])
        let free = try FixtureSite { $0.set("keyUsage", "") }
        #expect(try read(free).siteID == free.id)
        #expect(try isTakenByLanes(free))
    }

    @Test("an authority that is not valid is refused, five minutes of slack apart")
    func dates() throws {
        let ended = try FixtureSite {
            $0.notBefore = -7_200
            $0.notAfter = -3_600
        }
        try expectRefusal(of: ended, naming: ["expired on", "the same key"])
        let future = try FixtureSite { $0.notBefore = 3_600 }
        try expectRefusal(of: future, naming: ["not valid before", "clock"])
        let ahead = try FixtureSite { $0.notBefore = 120 }
        #expect(try read(ahead).siteID == ahead.id)
        #expect(try isTakenByLanes(ahead))
    }

    private func expectRefusal(
        of site: FixtureSite,
        naming words: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let problem = #expect(throws: CertificateProblem.self, sourceLocation: sourceLocation) {
            try read(site)
        }
        for word in words {
            #expect(
                problem?.description.contains(word) == true,
                "\(String(describing: problem))",
                sourceLocation: sourceLocation
            )
        }
        #expect(try !isTakenByLanes(site), sourceLocation: sourceLocation)
    }
}
