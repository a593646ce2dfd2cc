import COpenSSL

/// A certificate that was read or made; immutable.
package struct Certificate: Sendable, Equatable {
    /// The OpenSSL object, shared by every copy.
    final class Material: Sendable {
        let certificate: OpenSSLCertificate
        init(_ certificate: consuming OpenSSLCertificate) { self.certificate = certificate }
    }

    let material: Material

    package let der: [UInt8]
    /// Seconds since 1970.
    package let notBefore: Int64
    package let notAfter: Int64
    /// The subject's key, DER.
    package let subjectPublicKeyInfo: [UInt8]

    /// How far two clocks may differ, in seconds: what every check of dates allows for.
    package static let slack = CertificateRules.slack

    /// - Throws: `.certificate(.undecodable)` when it has no dates or no key that OpenSSL knows.
    init(_ certificate: consuming OpenSSLCertificate) throws(TLSError) {
        guard let notBefore = certificate.notBefore, let notAfter = certificate.notAfter else {
            throw .certificate(.undecodable("no dates"))
        }
        guard let key = certificate.publicKey else {
            throw .certificate(.undecodable("no public key"))
        }
        self.notBefore = notBefore
        self.notAfter = notAfter
        subjectPublicKeyInfo = key.subjectPublicKeyInfo
        der = certificate.der
        material = Material(certificate)
    }

    /// The certificates of a PEM text, in order; at least one.
    package static func read(pem: String) throws(TLSError) -> [Certificate] {
        var chain: [Certificate] = []
        for der in try PEM.certificates(Array(pem.utf8)) {
            guard let certificate = OpenSSLCertificate(der: der) else {
                throw .certificate(.undecodable("not DER"))
            }
            chain.append(try Certificate(certificate))
        }
        return chain
    }

    package static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }

    package func pem() throws(TLSError) -> String {
        try unsafe PEM.text("write a certificate") {
            unsafe PEM_write_bio_X509($0, material.certificate.raw)
        }
    }

    /// The URIs among the alternative names; nil when they cannot be read.
    package var alternativeURIs: [String]? { material.certificate.alternativeURIs }

    /// Whether it is for the server of this DNS name.
    package func isFor(_ host: String) -> Bool {
        unsafe X509_check_host(material.certificate.raw, host, host.utf8.count, 0, nil) == 1
    }

    /// Whether the key of `authority` signed this certificate; names and dates are not looked at.
    package func isSigned(by authority: Certificate) -> Bool {
        guard let key = authority.material.certificate.publicKey else { return false }
        return material.certificate.isSigned(by: key)
    }

    /// What every lane demands of a site's CA, at `time` (seconds since 1970).
    package func checkAuthority(at time: Int64) throws(CertificateError) {
        try CertificateRules.checkAuthority(material.certificate, at: time)
    }
}
