package import FoundationEssentials
package import NetworkModel
import TLS

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
    /// From when on somebody should be told that it ends: whoever renews it has had the time.
    package let warning: Date

    private let certificate: Certificate
    private let key: PrivateKey

    /// Makes a new identity: a P-256 key with a certificate signed by itself, valid for 20 years.
    package static func make(now: Date) throws -> SiteAuthority {
        let key = try PrivateKey.make()
        let certificate = try CertificateTemplate(
            subject: "tieline site \(SiteID(key.subjectPublicKeyInfo))",
            notBefore: now.seconds - Certificate.slack,
            notAfter: now.seconds + Validity.authority,
            extensions: [
                ("basicConstraints", "critical,CA:TRUE,pathlen:0"),
                ("keyUsage", "critical,keyCertSign,cRLSign"),
                ("subjectKeyIdentifier", "hash"),
            ]
        ).selfSigned(key)
        return try SiteAuthority(
            certificatePEM: certificate.pem(),
            keyPEM: key.pem(),
            now: now
        )
    }

    /// Reads what `make` made, or what the user brought as `tls.crt` and `tls.key`.
    ///
    /// Of several certificates in the file the first is the one. Throws `CertificateProblem` when other sites would not accept
    /// the leafs that it signs (no CA, a key that links do not take, not valid at `now`), or when the key is another one's.
    package init(certificatePEM: String, keyPEM: String, now: Date) throws {
        guard let certificate = try? Certificate.read(pem: certificatePEM).first else {
            throw CertificateProblem("there is no certificate in tls.crt")
        }
        try AuthorityRules.check(certificate, now: now)
        // The reason of a failure could quote the key.
        guard let key = try? PrivateKey(pem: keyPEM) else {
            throw CertificateProblem("tls.key holds no private key in PEM")
        }
        guard key.subjectPublicKeyInfo == certificate.subjectPublicKeyInfo else {
            throw CertificateProblem("tls.key is not the key of the certificate in tls.crt")
        }
        self.certificate = certificate
        self.key = key
        self.certificatePEM = try certificate.pem()
        self.keyPEM = keyPEM
        siteID = SiteID(certificate.subjectPublicKeyInfo)
        notAfter = Date(seconds: certificate.notAfter)
        warning = certificate.warning(atMost: Validity.authorityWarning)
    }

    /// Makes a key and a certificate for this site's gateways or sidecars.
    ///
    /// The leaf ends with the CA if that comes first.
    package func issueLeaf(
        role: ProxyRole,
        now: Date,
        lifetime: Duration = Validity.leaf
    ) throws -> LeafCertificate {
        let leafKey = try PrivateKey.make()
        let leaf = try CertificateTemplate(
            subject: "tieline \(role)",
            notBefore: now.seconds - Certificate.slack,
            notAfter: min(now.seconds + lifetime.components.seconds, certificate.notAfter),
            extensions: [
                ("basicConstraints", "critical,CA:FALSE"),
                ("keyUsage", "critical,digitalSignature"),
                ("extendedKeyUsage", "serverAuth,clientAuth"),
                ("subjectAltName", "URI:\(LeafName(site: siteID, role: role))"),
            ]
        ).signed(leafKey, issuer: certificate, signer: key)
        return LeafCertificate(
            chainPEM: try leaf.pem() + certificatePEM,
            keyPEM: try leafKey.pem(),
            notAfter: Date(seconds: leaf.notAfter)
        )
    }

    /// True when `chainPEM` and `keyPEM` are a leaf of this authority for this role, with its key.
    ///
    /// Dates are `LeafCertificate.needsRenewal`'s business.
    package func hasIssued(chainPEM: String, keyPEM: String, role: ProxyRole) -> Bool {
        guard let chain = try? Certificate.read(pem: chainPEM), chain.count == 2,
            chain[1] == certificate, chain[0].isSigned(by: certificate),
            chain[0].alternativeURIs == [LeafName(site: siteID, role: role).description],
            let leafKey = try? PrivateKey(pem: keyPEM)
        else { return false }
        return leafKey.subjectPublicKeyInfo == chain[0].subjectPublicKeyInfo
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
        guard let time = renewalTime(chainPEM: chainPEM) else { return true }
        return now >= time
    }

    /// When `needsRenewal` becomes true; nil when there is no leaf to be read.
    ///
    /// Never for one that ends with its CA: another one would end then as well.
    package static func renewalTime(chainPEM: String) -> Date? {
        guard let chain = try? Certificate.read(pem: chainPEM), let leaf = chain.first else {
            return nil
        }
        if chain.count == 2, leaf.notAfter >= chain[1].notAfter { return .distantFuture }
        let start = leaf.notBefore + Certificate.slack
        return Date(seconds: start + (leaf.notAfter - start) * 2 / 3)
    }

    /// From when on somebody should be told that the leaf has not been renewed; nil when there is none to be read.
    package static func warning(chainPEM: String) -> Date? {
        leaf(chainPEM).map { $0.warning(atMost: Validity.leafWarning) }
    }

    /// When the CA of the chain ends; nil when there is none to be read.
    package static func authorityEnd(chainPEM: String) -> Date? {
        guard let chain = try? Certificate.read(pem: chainPEM), chain.count == 2 else { return nil }
        return Date(seconds: chain[1].notAfter)
    }

    /// When the first certificate of the chain ends; nil when there is none to be read.
    package static func notAfter(chainPEM: String) -> Date? {
        leaf(chainPEM).map { Date(seconds: $0.notAfter) }
    }

    /// When the first certificate of the chain begins: the later of two leafs was issued last; nil when none can be read.
    package static func notBefore(chainPEM: String) -> Date? {
        leaf(chainPEM).map { Date(seconds: $0.notBefore) }
    }

    /// Whose proxy the chain names: the identity of its CA, whatever the dates; nil when that cannot be read.
    package static func siteID(chainPEM: String) -> SiteID? {
        guard let chain = try? Certificate.read(pem: chainPEM), chain.count == 2 else { return nil }
        return SiteID(chain[1].subjectPublicKeyInfo)
    }

    private static func leaf(_ chainPEM: String) -> Certificate? {
        try? Certificate.read(pem: chainPEM).first
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
    /// Seconds: 20 years.
    static let authority: Int64 = 631_152_000
    /// Seconds before the end of a CA, and of a leaf, at which somebody is told: a week, a day.
    static let authorityWarning: Int64 = 7 * 24 * 3600
    static let leafWarning: Int64 = 24 * 3600
}

extension Certificate {
    /// `seconds` before the end, or the last sixth of a short life: certificates are renewed at two thirds.
    fileprivate func warning(atMost seconds: Int64) -> Date {
        Date(seconds: notAfter - min(seconds, (notAfter - notBefore) / 6))
    }
}

extension SiteID {
    fileprivate init(_ subjectPublicKeyInfo: [UInt8]) {
        self.init(publicKeyDigest: Crypto.sha256(subjectPublicKeyInfo))
    }
}
