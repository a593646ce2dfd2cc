import COpenSSL
import Glibc
package import NetworkModel
import TLS

/// Everything about a certificate that a test may want to get wrong.
package struct CertificateRecipe: Sendable {
    package var subject: String
    /// Seconds from now.
    package var notBefore: Int = -60
    package var notAfter: Int = 7 * 24 * 3600
    /// Extensions in OpenSSL's configuration syntax, by short name; an empty value leaves one out.
    package var extensions: [(name: String, value: String)]
    package var usesSHA1 = false

    /// A site CA as the controller makes it.
    package static func authority(_ name: String) -> CertificateRecipe {
        CertificateRecipe(
            subject: name,
            extensions: [
                ("basicConstraints", "critical,CA:true,pathlen:0"),
                ("keyUsage", "critical,keyCertSign,cRLSign"),
            ]
        )
    }

    /// A leaf with the given URIs as names.
    package static func leaf(_ name: String, uris: [String]) -> CertificateRecipe {
        CertificateRecipe(
            subject: name,
            extensions: [
                ("basicConstraints", "critical,CA:false"),
                ("keyUsage", "critical,digitalSignature"),
                ("extendedKeyUsage", "serverAuth,clientAuth"),
                ("subjectAltName", uris.map { "URI:\($0)" }.joined(separator: ",")),
            ]
        )
    }

    package mutating func set(_ name: String, _ value: String) {
        extensions.removeAll { $0.name == name }
        extensions.append((name, value))
    }
}

package struct FixtureError: Error {
    package let what: String
    package init(what: String) { self.what = what }
}

/// A private key of a test.
@safe
package final class FixtureKey: @unchecked Sendable {
    // Sendable: never changed after it was made.
    private let pointer: OpaquePointer
    /// For calls into OpenSSL that do not keep it.
    @unsafe package var opaque: OpaquePointer { unsafe pointer }

    package enum Kind: Sendable {
        case p256, p384, p521, ed25519
        case rsa(bits: UInt32)
    }

    package init(_ kind: Kind) throws {
        let algorithm =
            switch kind {
            case .p256, .p384, .p521: "EC"
            case .ed25519: "ED25519"
            case .rsa: "RSA"
            }
        let context = unsafe EVP_PKEY_CTX_new_from_name(nil, algorithm, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        unsafe EVP_PKEY_keygen_init(context)
        switch kind {
        case .p256: unsafe EVP_PKEY_CTX_set_group_name(context, "P-256")
        case .p384: unsafe EVP_PKEY_CTX_set_group_name(context, "P-384")
        case .p521: unsafe EVP_PKEY_CTX_set_group_name(context, "P-521")
        case .rsa(let bits): unsafe EVP_PKEY_CTX_set_rsa_keygen_bits(context, Int32(bits))
        case .ed25519: break
        }
        var made: OpaquePointer?
        guard unsafe EVP_PKEY_keygen(context, &made) == 1, let key = unsafe made else {
            throw FixtureError(what: "no key")
        }
        unsafe pointer = unsafe key
    }

    /// The identity of a site that has this as its CA's key.
    package var siteID: SiteID {
        let count = Int(unsafe i2d_PUBKEY(pointer, nil))
        var bytes = [UInt8](repeating: 0, count: count)
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var cursor = buffer.baseAddress
            _ = unsafe i2d_PUBKEY(pointer, &cursor)
        }
        return SiteID(publicKeyDigest: Crypto.sha256(bytes))
    }

    deinit { unsafe EVP_PKEY_free(pointer) }

    /// PKCS #8 PEM.
    package var pem: [UInt8] {
        unsafe text { unsafe PEM_write_bio_PKCS8PrivateKey($0, pointer, nil, nil, 0, nil, nil) }
    }
}

/// A certificate of a test.
@safe
package final class FixtureCertificate: @unchecked Sendable {
    // Sendable: never changed after it was made.
    private let pointer: OpaquePointer
    /// For calls into OpenSSL that do not keep it.
    @unsafe package var opaque: OpaquePointer { unsafe pointer }

    package init(
        _ recipe: CertificateRecipe,
        key: FixtureKey,
        issuer: FixtureCertificate? = nil,
        signedBy signer: FixtureKey
    ) throws {
        guard let certificate = unsafe X509_new() else { throw FixtureError(what: "X509_new") }
        unsafe pointer = unsafe certificate
        unsafe X509_set_version(certificate, 2)
        unsafe ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...Int.max))
        unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), recipe.notBefore)
        unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), recipe.notAfter)
        let name = unsafe X509_get_subject_name(certificate)
        let text = Array(recipe.subject.utf8)
        unsafe X509_NAME_add_entry_by_txt(
            name,
            "CN",
            MBSTRING_ASC | 0x1000,
            text,
            Int32(text.count),
            -1,
            0
        )
        let issuerName = unsafe issuer.map { unsafe X509_get_subject_name($0.opaque) } ?? name
        unsafe X509_set_issuer_name(certificate, issuerName)
        unsafe X509_set_pubkey(certificate, key.opaque)
        for (name, value) in recipe.extensions where !value.isEmpty {
            let made = unsafe X509V3_EXT_nconf(nil, nil, name, value)
            guard let made = unsafe made, unsafe X509_add_ext(certificate, made, -1) == 1 else {
                throw FixtureError(what: "extension \(name)")
            }
            unsafe X509_EXTENSION_free(made)
        }
        let digest =
            unsafe EVP_PKEY_get_base_id(signer.opaque) == EVP_PKEY_ED25519
            ? nil : recipe.usesSHA1 ? unsafe EVP_sha1() : unsafe EVP_sha256()
        guard unsafe X509_sign(certificate, signer.opaque, digest) > 0 else {
            throw FixtureError(what: "sign")
        }
    }

    deinit { unsafe X509_free(pointer) }

    package var pem: [UInt8] { unsafe text { unsafe PEM_write_bio_X509($0, pointer) } }

    package var der: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(unsafe i2d_X509(pointer, nil)))
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var cursor = buffer.baseAddress
            _ = unsafe i2d_X509(pointer, &cursor)
        }
        return bytes
    }
}

/// What `write` puts into a memory BIO.
private func text(_ write: (OpaquePointer?) -> Int32) -> [UInt8] {
    let sink = unsafe BIO_new(BIO_s_mem())
    defer { unsafe BIO_free(sink) }
    _ = unsafe write(sink)
    var bytes = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(sink)))
    _ = unsafe BIO_read(sink, &bytes, Int32(bytes.count))
    return bytes
}
