import FoundationEssentials
import TLS

/// What every lane demands of a site's CA, checked here first: here the message reaches the one who brought it.
enum AuthorityRules {
    static func check(_ certificate: Certificate, now: Date) throws(CertificateProblem) {
        do {
            try certificate.checkAuthority(at: now.seconds)
        } catch {
            throw CertificateProblem(remedy(error, certificate))
        }
    }

    private static func remedy(_ error: CertificateError, _ certificate: Certificate) -> String {
        switch error {
        case .notSiteCA(let reason):
            "the certificate in tls.crt is not a site CA: \(reason); give one with basicConstraints CA:TRUE"
                + " and keyUsage keyCertSign, without other critical extensions"
        case .weakKey(_, let key):
            "the key of the CA in tls.crt is \(key); links take P-256, P-384, Ed25519 and RSA of at least 3072 bits:"
                + " give a CA with such a key"
        case .notYetValid:
            "the CA in tls.crt is not valid before \(iso(certificate.notBefore)); give one that is valid, or set"
                + " the clock of this host"
        case .expired:
            "the CA in tls.crt expired on \(iso(certificate.notAfter)); give one with the same key and a later end:"
                + " another key would be another site"
        default: "the certificate in tls.crt cannot be used: \(error)"
        }
    }

    private static func iso(_ seconds: Int64) -> String {
        Date(seconds: seconds).formatted(.iso8601)
    }
}

extension Date {
    init(seconds: Int64) { self.init(timeIntervalSince1970: TimeInterval(seconds)) }

    /// Whole seconds since 1970, as certificates have them.
    var seconds: Int64 { Int64(timeIntervalSince1970.rounded(.down)) }
}
