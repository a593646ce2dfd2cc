import COpenSSL

/// A private key that was read or made; immutable.
package struct PrivateKey: Sendable {
    /// The OpenSSL object, shared by every copy.
    final class Material: Sendable {
        let key: OpenSSLKey
        init(_ key: consuming OpenSSLKey) { self.key = key }
    }

    let material: Material

    /// The DER SubjectPublicKeyInfo of the public half.
    package let subjectPublicKeyInfo: [UInt8]

    private init(_ key: consuming OpenSSLKey) {
        material = Material(key)
        subjectPublicKeyInfo = material.key.subjectPublicKeyInfo
    }

    /// Makes a P-256 key.
    package static func make() throws(TLSError) -> PrivateKey { PrivateKey(try .makeP256()) }

    /// Reads PEM, PKCS #8 or SEC 1, not encrypted; the error never quotes the key.
    package init(pem: String) throws(TLSError) { self.init(try PEM.privateKey(Array(pem.utf8))) }

    /// PKCS #8, not encrypted.
    package func pem() throws(TLSError) -> String {
        try unsafe PEM.text("write a private key") {
            unsafe PEM_write_bio_PKCS8PrivateKey($0, material.key.raw, nil, nil, 0, nil, nil)
        }
    }
}
