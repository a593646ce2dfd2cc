package import NetworkModel

/// Which rule a certificate chain breaks; `ARCHITECTURE: Identity` lists the rules.
package enum CertificateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not exactly a leaf and the CA that signed it.
    case chainCount(Int)
    case undecodable(String)
    /// Not valid yet, beyond the slack: one of the two clocks is wrong, more likely than the certificate.
    case notYetValid(Certificate, secondsAhead: Int64)
    case expired(Certificate, secondsAgo: Int64)
    /// The site certificate is no CA.
    case notSiteCA(String)
    /// The leaf does not name the site certificate as its issuer, or is itself a CA.
    case issuer(String)
    case signature
    /// Other than P-256, P-384, Ed25519, RSA of at least 3072 bits.
    case weakKey(Certificate, String)
    /// Extended key usage without both client and server authentication.
    case usage(String)
    /// Not exactly one URI as subject alternative name.
    case names(Int)
    case name(String)
    /// The URI names another site than the one whose key signed the leaf.
    case siteMismatch(derived: SiteID, named: String)

    package enum Certificate: String, Sendable {
        case leaf = "the leaf certificate"
        case authority = "the site CA's certificate"
    }

    /// True when setting a clock right is the likely remedy.
    package var isClockSkew: Bool {
        if case .notYetValid = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .chainCount(let count): "the chain has \(count) certificates, not leaf and site CA"
        case .undecodable(let reason): "undecodable certificate: \(reason)"
        case .notYetValid(let which, let seconds):
            "\(which.rawValue) is not valid before \(seconds) s from now: check both clocks"
        case .expired(let which, let seconds): "\(which.rawValue) expired \(seconds) s ago"
        case .notSiteCA(let reason): "the site certificate is not a site CA: \(reason)"
        case .issuer(let reason): "the leaf is not issued by the site CA: \(reason)"
        case .signature: "the site CA did not sign the leaf"
        case .weakKey(let which, let key):
            "\(which.rawValue) has a key that is not accepted (\(key)): use P-256, P-384, Ed25519 or RSA 3072"
        case .usage(let reason): "the leaf may not be used so: \(reason)"
        case .names(let count): "the leaf has \(count) alternative names, not exactly one URI"
        case .name(let uri):
            "the leaf's name \(uri) is not spiffe://tieline/site/SITEID/gateway or /sidecar"
        case .siteMismatch(let derived, let named):
            "the leaf is named for site \(named) but signed by the key of site \(derived)"
        }
    }
}
