import Crypto
package import FoundationEssentials
package import NetworkModel
import SwiftASN1
import X509

/// The certificate authority of one site: its key is the site's identity.
///
/// It signs the leafs of the site's own proxies and nothing else: a chain is exactly leaf + this certificate. A CA that
/// the user brings may itself be signed by another one; what is above is neither sent nor trusted.
package struct SiteAuthority: Sendable {
    package let certificatePEM: String
    /// The secret key, PKCS #8 or SEC 1.
    package let keyPEM: String
    /// Derived from the public key of the certificate.
    package let siteID: SiteID
    package let notAfter: Date

    private let certificate: Certificate
    private let key: Certificate.PrivateKey

    /// Makes a new identity: a P-256 key with a certificate signed by itself, valid for 20 years.
    package static func make(now: Date) throws -> SiteAuthority {
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let siteID = try SiteID(publicKey: key.publicKey)
        let name = try DistinguishedName { CommonName("tieline site \(siteID)") }
        let certificate = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: key.publicKey,
            notValidBefore: now - Validity.slack,
            notValidAfter: now + Validity.authority,
            issuer: name,
            subject: name,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: key.publicKey)
            },
            issuerPrivateKey: key
        )
        return try SiteAuthority(
            certificatePEM: certificate.pemText(),
            keyPEM: key.serializeAsPEM().pemString + "\n",
            now: now
        )
    }

    /// Reads what `make` made, or what the user brought as `tls.crt` and `tls.key`.
    ///
    /// Of several certificates in the file the first is the one. Throws `CertificateProblem` when other sites would not accept
    /// the leafs that it signs (no CA, a path length that is not 0, a key that links do not take, not valid at `now`), or when
    /// the key is another one's.
    package init(certificatePEM: String, keyPEM: String, now: Date) throws {
        guard let certificate = try Chain.certificates(certificatePEM).first else {
            throw CertificateProblem("there is no certificate in tls.crt")
        }
        try AuthorityRules.check(certificate, now: now)
        let key: Certificate.PrivateKey
        do {
            key = try Certificate.PrivateKey(pemEncoded: keyPEM)
        } catch {
            // The reason could quote the key.
            throw CertificateProblem("tls.key holds no private key in PEM")
        }
        guard key.publicKey == certificate.publicKey else {
            throw CertificateProblem("tls.key is not the key of the certificate in tls.crt")
        }
        self.certificate = certificate
        self.key = key
        self.certificatePEM = try certificate.pemText()
        self.keyPEM = keyPEM
        siteID = try SiteID(publicKey: certificate.publicKey)
        notAfter = certificate.notValidAfter
    }

    /// Makes a key and a certificate for this site's gateways or sidecars.
    ///
    /// The leaf ends with the CA if that comes first.
    package func issueLeaf(
        role: ProxyRole,
        now: Date,
        lifetime: Duration = Validity.leaf
    ) throws -> LeafCertificate {
        let leafKey = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let end = min(now + TimeInterval(lifetime.components.seconds), notAfter)
        let leaf = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: leafKey.publicKey,
            notValidBefore: now - Validity.slack,
            notValidAfter: end,
            issuer: certificate.subject,
            subject: try DistinguishedName { CommonName("tieline \(role)") },
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
                SubjectAlternativeNames([
                    .uniformResourceIdentifier(LeafName(site: siteID, role: role).description)
                ])
                AuthorityKeyIdentifier(
                    keyIdentifier: SubjectKeyIdentifier(hash: key.publicKey).keyIdentifier
                )
            },
            issuerPrivateKey: key
        )
        return LeafCertificate(
            chainPEM: try leaf.pemText() + certificatePEM,
            keyPEM: try leafKey.serializeAsPEM().pemString + "\n",
            notAfter: leaf.notValidAfter
        )
    }

    /// True when `chainPEM` and `keyPEM` are a leaf of this authority for this role, with its key.
    ///
    /// Dates are `LeafCertificate.needsRenewal`'s business.
    package func hasIssued(chainPEM: String, keyPEM: String, role: ProxyRole) -> Bool {
        guard let chain = try? Chain.certificates(chainPEM), chain.count == 2,
            chain[1] == certificate,
            certificate.publicKey.isValidSignature(chain[0].signature, for: chain[0]),
            let names = try? chain[0].extensions.subjectAlternativeNames,
            names.elementsEqual([
                .uniformResourceIdentifier(LeafName(site: siteID, role: role).description)
            ]),
            let leafKey = try? Certificate.PrivateKey(pemEncoded: keyPEM)
        else { return false }
        return leafKey.publicKey == chain[0].publicKey
    }
}

/// A leaf with its CA, as a proxy presents it.
package struct LeafCertificate: Sendable {
    /// The leaf, then the site's CA.
    package let chainPEM: String
    /// Secret.
    package let keyPEM: String
    package let notAfter: Date

    /// True from two thirds of the leaf's life on, and when there is no leaf to be read.
    package static func needsRenewal(chainPEM: String, now: Date) -> Bool {
        guard let leaf = try? Chain.certificates(chainPEM).first else { return true }
        return now >= renewalTime(of: leaf)
    }

    /// When `needsRenewal` becomes true; nil when there is no leaf to be read.
    package static func renewalTime(chainPEM: String) -> Date? {
        (try? Chain.certificates(chainPEM).first).map(renewalTime(of:))
    }

    /// When the first certificate of the chain ends; nil when there is none to be read.
    package static func notAfter(chainPEM: String) -> Date? {
        try? Chain.certificates(chainPEM).first?.notValidAfter
    }

    /// When the first certificate of the chain begins: the later of two leafs was issued last; nil when none can be read.
    package static func notBefore(chainPEM: String) -> Date? {
        try? Chain.certificates(chainPEM).first?.notValidBefore
    }

    /// Whose proxy the chain names: the identity of its CA, whatever the dates; nil when that cannot be read.
    package static func siteID(chainPEM: String) -> SiteID? {
        guard let chain = try? Chain.certificates(chainPEM), chain.count == 2 else { return nil }
        return try? SiteID(publicKey: chain[1].publicKey)
    }

    private static func renewalTime(of leaf: Certificate) -> Date {
        let start = leaf.notValidBefore + Validity.slack
        return start + leaf.notValidAfter.timeIntervalSince(start) * 2 / 3
    }
}

/// Why a certificate or key cannot be used; the message never quotes a key.
package struct CertificateProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// How long things are valid.
package enum Validity {
    /// Leafs: seven days.
    package static let leaf = Duration.seconds(7 * 24 * 3600)
    /// Certificates begin this much before they are made: clocks differ.
    static let slack: TimeInterval = 300
    static let authority: TimeInterval = 20 * 365.25 * 24 * 3600
}

enum Chain {
    static func certificates(_ pem: String) throws -> [Certificate] {
        try PEMDocument.parseMultiple(pemString: pem).map { try Certificate(pemDocument: $0) }
    }
}

extension Certificate {
    fileprivate func pemText() throws -> String { try serializeAsPEM().pemString + "\n" }
}

extension SiteID {
    fileprivate init(publicKey: Certificate.PublicKey) throws {
        var serializer = DER.Serializer()
        try serializer.serialize(publicKey)
        self.init(publicKeyDigest: Array(SHA256.hash(data: serializer.serializedBytes)))
    }
}
