package import FoundationEssentials
import TLS

/// The certificate of a server inside of the cluster, with an authority of its own that its clients are told of.
///
/// The authority signs nothing else; it stays when the certificate is renewed, so that clients need not be told again.
package struct ServingCertificate: Equatable, Sendable {
    package var certificatePEM: String
    /// Secret.
    package var keyPEM: String
    package var authorityPEM: String
    /// Secret.
    package var authorityKeyPEM: String

    package init(
        certificatePEM: String,
        keyPEM: String,
        authorityPEM: String,
        authorityKeyPEM: String
    ) {
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
        self.authorityPEM = authorityPEM
        self.authorityKeyPEM = authorityKeyPEM
    }

    /// A certificate for these DNS names, with a new authority.
    package static func make(names: [String], now: Date) throws -> ServingCertificate {
        let key = try PrivateKey.make()
        let authority = try CertificateTemplate(
            subject: "tieline \(names.first ?? "") authority",
            notBefore: now.seconds - Certificate.slack,
            notAfter: now.seconds + Validity.authority,
            extensions: [
                ("basicConstraints", "critical,CA:TRUE,pathlen:0"),
                ("keyUsage", "critical,keyCertSign,cRLSign"),
                ("subjectKeyIdentifier", "hash"),
            ]
        ).selfSigned(key)
        return try issue(names, authority, key, authorityKeyPEM: try key.pem(), now: now)
    }

    /// This one while it is of use, another one of the same authority from two thirds of its life on, or with another
    /// authority where that is not to be used either.
    package func renewed(names: [String], now: Date) throws -> ServingCertificate {
        guard let authority = try? Certificate.read(pem: authorityPEM).first,
            let key = try? PrivateKey(pem: authorityKeyPEM),
            key.subjectPublicKeyInfo == authority.subjectPublicKeyInfo,
            authority.notAfter > now.seconds + Self.lifetime
        else { return try Self.make(names: names, now: now) }
        if isUsable(names, authority, now: now) { return self }
        return try Self.issue(names, authority, key, authorityKeyPEM: authorityKeyPEM, now: now)
    }

    /// When `renewed` gives another one.
    package var renewalTime: Date? { LeafCertificate.renewalTime(chainPEM: certificatePEM) }

    private func isUsable(_ names: [String], _ authority: Certificate, now: Date) -> Bool {
        guard let leaf = try? Certificate.read(pem: certificatePEM).first,
            leaf.isSigned(by: authority),
            let leafKey = try? PrivateKey(pem: keyPEM),
            leafKey.subjectPublicKeyInfo == leaf.subjectPublicKeyInfo,
            names.allSatisfy(leaf.isFor)
        else { return false }
        return !LeafCertificate.needsRenewal(chainPEM: certificatePEM, now: now)
    }

    /// Seconds: 90 days.
    private static let lifetime: Int64 = 90 * 24 * 3600

    private static func issue(
        _ names: [String],
        _ authority: Certificate,
        _ key: PrivateKey,
        authorityKeyPEM: String,
        now: Date
    ) throws -> ServingCertificate {
        let leafKey = try PrivateKey.make()
        let leaf = try CertificateTemplate(
            subject: "tieline webhook",
            notBefore: now.seconds - Certificate.slack,
            notAfter: min(now.seconds + lifetime, authority.notAfter),
            extensions: [
                ("basicConstraints", "critical,CA:FALSE"),
                ("keyUsage", "critical,digitalSignature"),
                ("extendedKeyUsage", "serverAuth"),
                ("subjectAltName", names.map { "DNS:\($0)" }.joined(separator: ",")),
            ]
        ).signed(leafKey, issuer: authority, signer: key)
        return ServingCertificate(
            certificatePEM: try leaf.pem(),
            keyPEM: try leafKey.pem(),
            authorityPEM: try authority.pem(),
            authorityKeyPEM: authorityKeyPEM
        )
    }
}

/// The TLS of a server with one certificate.
package final class ServingTLS: Sendable {
    private let context: ServerContext

    package init(_ certificate: ServingCertificate) throws {
        context = try ServerContext(
            certificate: Array(certificate.certificatePEM.utf8),
            privateKey: Array(certificate.keyPEM.utf8)
        )
    }

    /// The TLS of one connection; nil when there is no memory left.
    package func session() -> ServingSession? {
        guard let session = try? TLSSession(context: context) else { return nil }
        return ServingSession(session)
    }
}

/// One connection of a server, between the bytes of its socket and those of its requests.
package final class ServingSession {
    private var session: TLSSession
    private let output = Ciphertext()

    fileprivate init(_ session: consuming TLSSession) { self.session = session }

    /// The plaintext of what came, what is to be sent for it, and whether nothing more can come.
    package func open(
        _ bytes: ArraySlice<UInt8>
    ) -> (plaintext: [UInt8], reply: [UInt8], isOver: Bool) {
        var plaintext = [UInt8](repeating: 0, count: bytes.count + 16_384)
        let progress = unsafe bytes.withUnsafeBytes { source in
            unsafe plaintext.withUnsafeMutableBytes { target in
                unsafe session.process(source, plaintext: target, output: output)
            }
        }
        plaintext.removeSubrange(progress.plaintextCount...)
        return (plaintext, taken(), progress.failure != nil || progress.isEnded)
    }

    /// The records of everything that is sent, and of the end.
    package func seal(_ bytes: [UInt8]) -> [UInt8] {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(16_384)
            rest = rest.dropFirst(part.count)
            let isSealed = unsafe part.withUnsafeBytes { source in
                (try? unsafe session.encrypt(source, output: output)) != nil
            }
            guard isSealed else { return [] }
        }
        session.end(output: output)
        return taken()
    }

    private func taken() -> [UInt8] {
        defer { output.removeAll() }
        return unsafe output.withBytes { unsafe Array($0) }
    }
}
