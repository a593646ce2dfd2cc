import COpenSSL
import NetworkModel

/// The rules for leaf + site CA, in one place for lanes, advertisements and our own credentials.
enum CertificateRules {
    /// How far two clocks may differ.
    static let slack: Int64 = 5 * 60

    /// Applies every rule; dates only when `time` (seconds since 1970) is given.
    ///
    /// The site is derived from the key that verified the leaf's signature, so no certificate can claim
    /// another one's. The site CA's own signature says nothing (its key is the identity) and is not looked at.
    static func verify(
        leaf: borrowing OpenSSLCertificate,
        authority: borrowing OpenSSLCertificate,
        at time: Int64?
    ) throws(CertificateError) -> NeighborIdentity {
        try checkAuthority(authority, at: time)
        guard let authorityKey = authority.publicKey, let leafKey = leaf.publicKey else {
            throw .undecodable("no public key")
        }
        guard leafKey.kind != nil else { throw .weakKey(.leaf, leafKey.summary) }
        try checkLeaf(leaf)
        if let mismatch = leaf.mismatch(issuer: authority) { throw .issuer(mismatch) }
        // 112 bits leave out MD5 and SHA-1.
        guard leaf.signatureStrength >= 112, leaf.isSigned(by: authorityKey) else {
            throw .signature
        }
        if let time { try checkDates(leaf, .leaf, time) }
        let digest = Crypto.sha256(authorityKey.subjectPublicKeyInfo)
        let site = SiteID(publicKeyDigest: digest)
        let role = try role(of: leaf, site: site)
        let key = PublicKey(subjectPublicKeyInfo: leafKey.subjectPublicKeyInfo)
        return NeighborIdentity(site: site, role: role, publicKey: key)
    }

    /// What is demanded of a site's CA; dates only when `time` is given.
    ///
    /// A path length is not: a chain is two certificates, and who signed the leaf is the site.
    static func checkAuthority(
        _ authority: borrowing OpenSSLCertificate,
        at time: Int64?
    ) throws(CertificateError) {
        guard let key = authority.publicKey else { throw .undecodable("no public key") }
        guard key.kind != nil else { throw .weakKey(.authority, key.summary) }
        try checkUsage(authority)
        if let time { try checkDates(authority, .authority, time) }
    }

    private static func checkUsage(
        _ authority: borrowing OpenSSLCertificate
    ) throws(CertificateError) {
        let flags = authority.flags
        guard flags & UInt32(EXFLAG_INVALID) == 0 else {
            throw .undecodable("an extension of the site CA")
        }
        guard flags & UInt32(EXFLAG_CRITICAL) == 0 else {
            throw .notSiteCA("it has an unknown critical extension")
        }
        guard flags & UInt32(EXFLAG_BCONS) != 0, flags & UInt32(EXFLAG_CA) != 0 else {
            throw .notSiteCA("basic constraints without CA")
        }
        guard authority.keyUsage & UInt32(KU_KEY_CERT_SIGN) != 0 else {
            throw .notSiteCA("key usage without certificate signing")
        }
    }

    private static func checkLeaf(_ leaf: borrowing OpenSSLCertificate) throws(CertificateError) {
        let flags = leaf.flags
        guard flags & UInt32(EXFLAG_INVALID) == 0 else {
            throw .undecodable("an extension of the leaf")
        }
        guard flags & UInt32(EXFLAG_CRITICAL) == 0 else {
            throw .usage("it has an unknown critical extension")
        }
        guard flags & UInt32(EXFLAG_CA) == 0 else { throw .issuer("the leaf is itself a CA") }
        guard leaf.keyUsage & UInt32(KU_DIGITAL_SIGNATURE) != 0 else {
            throw .usage("key usage without digital signature")
        }
        guard flags & UInt32(EXFLAG_XKUSAGE) != 0 else {
            throw .usage("no extended key usage")
        }
        guard leaf.extendedKeyUsage & UInt32(XKU_SSL_CLIENT) != 0 else {
            throw .usage("extended key usage without client authentication")
        }
        guard leaf.extendedKeyUsage & UInt32(XKU_SSL_SERVER) != 0 else {
            throw .usage("extended key usage without server authentication")
        }
    }

    private static func checkDates(
        _ certificate: borrowing OpenSSLCertificate,
        _ which: CertificateError.Certificate,
        _ time: Int64
    ) throws(CertificateError) {
        guard let start = certificate.notBefore, let end = certificate.notAfter else {
            throw .undecodable("the dates of \(which.rawValue)")
        }
        guard time >= start - slack else { throw .notYetValid(which, secondsAhead: start - time) }
        guard time <= end + slack else { throw .expired(which, secondsAgo: time - end) }
    }

    private static func role(
        of leaf: borrowing OpenSSLCertificate,
        site: SiteID
    ) throws(CertificateError) -> ProxyRole {
        guard let names = leaf.alternativeURIs else {
            throw .undecodable("the alternative names of the leaf")
        }
        guard names.count == 1, let uri = names.first else { throw .names(names.count) }
        guard let name = LeafName(uri) else { throw .name(uri.printable) }
        guard name.site == site else { throw .siteMismatch(derived: site, named: name.site.text) }
        return name.role
    }
}

/// Checks of chains that do not come with a TLS handshake.
package enum CertificateChain {
    /// Verifies leaf + site CA (DER) as on a lane, at `time` (seconds since 1970) with 5 min slack.
    package static func verify(
        _ chain: [[UInt8]],
        at time: Int64
    ) throws(CertificateError) -> NeighborIdentity {
        guard chain.count == 2 else { throw .chainCount(chain.count) }
        guard let leaf = OpenSSLCertificate(der: chain[0]) else {
            throw .undecodable(CertificateError.Certificate.leaf.rawValue)
        }
        guard let authority = OpenSSLCertificate(der: chain[1]) else {
            throw .undecodable(CertificateError.Certificate.authority.rawValue)
        }
        return try CertificateRules.verify(leaf: leaf, authority: authority, at: time)
    }
}
