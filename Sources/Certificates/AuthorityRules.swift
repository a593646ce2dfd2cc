import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// What every lane demands of a site's CA, checked here first: here the message reaches the one who brought it.
enum AuthorityRules {
    private static let rsaBitsMin = 3_072

    static func check(_ certificate: Certificate, now: Date) throws {
        guard
            case .isCertificateAuthority(let pathLength)? =
                try certificate.extensions.basicConstraints
        else {
            throw CertificateProblem(
                "the certificate in tls.crt is not a CA; give one with basicConstraints CA:TRUE, pathlen:0"
            )
        }
        guard pathLength == 0 else {
            throw CertificateProblem(
                "the CA in tls.crt has \(pathLength.map { "the path length \($0)" } ?? "no path length"); it signs"
                    + " proxies only: give one with basicConstraints CA:TRUE, pathlen:0"
            )
        }
        if let usage = try certificate.extensions.keyUsage, !usage.keyCertSign {
            throw CertificateProblem(
                "the CA in tls.crt may not sign certificates; give one with keyUsage keyCertSign"
            )
        }
        if let weakness = try weakness(of: certificate.publicKey) {
            throw CertificateProblem(
                "the key of the CA in tls.crt is \(weakness); links take P-256, P-384, Ed25519 and RSA of at least"
                    + " \(rsaBitsMin) bits: give a CA with such a key"
            )
        }
        guard now >= certificate.notValidBefore - Validity.slack else {
            throw CertificateProblem(
                "the CA in tls.crt is not valid before \(certificate.notValidBefore.iso); give one that is valid, or set"
                    + " the clock of this host"
            )
        }
        guard now <= certificate.notValidAfter + Validity.slack else {
            throw CertificateProblem(
                "the CA in tls.crt has ended on \(certificate.notValidAfter.iso); give one with the same key and a later end:"
                    + " another key would be another site"
            )
        }
    }

    /// What kind of key it is, when links do not take it.
    private static func weakness(of key: Certificate.PublicKey) throws -> String? {
        if P256.Signing.PublicKey(key) != nil || P384.Signing.PublicKey(key) != nil
            || Curve25519.Signing.PublicKey(key) != nil
        {
            return nil
        }
        if P521.Signing.PublicKey(key) != nil { return "P-521" }
        let bits = try modulusBits(key.subjectPublicKeyInfoBytes)
        return bits < rsaBitsMin ? "RSA of \(bits) bits" : nil
    }

    /// Of an RSAPublicKey (RFC 8017): a sequence of modulus and exponent.
    private static func modulusBits(_ key: ArraySlice<UInt8>) throws -> Int {
        try DER.sequence(try DER.parse(key), identifier: .sequence) { nodes in
            let modulus = try ArraySlice<UInt8>(derEncoded: &nodes).drop { $0 == 0 }
            _ = try ArraySlice<UInt8>(derEncoded: &nodes)
            guard let first = modulus.first else { return 0 }
            return 8 * modulus.count - first.leadingZeroBitCount
        }
    }
}

extension Date {
    fileprivate var iso: String { formatted(.iso8601) }
}
