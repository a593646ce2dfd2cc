import COpenSSL

/// A public key as its DER SubjectPublicKeyInfo.
package struct PublicKey: Hashable, Sendable {
    package let subjectPublicKeyInfo: [UInt8]

    /// Takes the bytes as they are; bytes that are no key verify nothing.
    package init(subjectPublicKeyInfo: [UInt8]) {
        self.subjectPublicKeyInfo = subjectPublicKeyInfo
    }

    /// Whether `signature` is this key's over `message` (SHA-256, or SHA-384 with P-384; Ed25519 as it is).
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard let key = OpenSSLKey(subjectPublicKeyInfo: subjectPublicKeyInfo) else { return false }
        return key.isValid(signature: signature, for: message)
    }
}
