import COpenSSL

/// An `EVP_PKEY` with one owner.
///
/// Sendable: it is never changed after it was made, and OpenSSL allows concurrent use of a key that is not changed.
@safe
struct OpenSSLKey: ~Copyable, @unchecked Sendable {
    private let pointer: OpaquePointer

    /// Takes over one reference.
    init(owning pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

    init?(subjectPublicKeyInfo bytes: [UInt8]) {
        let key: OpaquePointer? = unsafe bytes.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            return unsafe d2i_PUBKEY(nil, &cursor, bytes.count)
        }
        guard let key = unsafe key else {
            OpenSSLFailure.clear()
            return nil
        }
        unsafe pointer = unsafe key
    }

    static func makeP256() throws(TLSError) -> OpenSSLKey {
        let context = unsafe EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        guard unsafe EVP_PKEY_keygen_init(context) == 1,
            unsafe EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
            unsafe EVP_PKEY_keygen(context, &made) == 1, let key = unsafe made
        else { throw OpenSSLFailure.take("make a key") }
        return unsafe OpenSSLKey(owning: key)
    }

    deinit { unsafe EVP_PKEY_free(pointer) }

    /// The pointer for a call that does not keep it.
    @unsafe var raw: OpaquePointer { unsafe pointer }

    /// P-256, P-384, Ed25519, RSA of at least 3072 bits; nil for every other key.
    var kind: KeyKind? {
        switch unsafe EVP_PKEY_get_base_id(pointer) {
        case EVP_PKEY_ED25519: return .ed25519
        case EVP_PKEY_RSA: return unsafe EVP_PKEY_get_bits(pointer) >= 3072 ? .rsa : nil
        case EVP_PKEY_EC:
            switch groupName {
            case "prime256v1": return .p256
            case "secp384r1": return .p384
            default: return nil
            }
        default: return nil
        }
    }

    /// Kind and size in words, for error messages: `RSA 2048`.
    var summary: String {
        let bits = unsafe EVP_PKEY_get_bits(pointer)
        switch unsafe EVP_PKEY_get_base_id(pointer) {
        case EVP_PKEY_RSA: return "RSA \(bits)"
        case EVP_PKEY_EC: return groupName.isEmpty ? "EC \(bits)" : "EC \(groupName)"
        default:
            guard let name = unsafe EVP_PKEY_get0_type_name(pointer) else { return "unknown" }
            return unsafe String(cString: name)
        }
    }

    private var groupName: String {
        var name = [CChar](repeating: 0, count: 80)
        var count = 0
        let status = unsafe EVP_PKEY_get_group_name(pointer, &name, name.count, &count)
        guard status == 1 else { return "" }
        return String(decoding: name.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The one to sign with; none for Ed25519, which needs none.
    var digest: OpaquePointer? {
        switch kind {
        case .ed25519, nil: nil
        case .p384: unsafe EVP_sha384()
        case .p256, .rsa: unsafe EVP_sha256()
        }
    }

    func sign(_ message: [UInt8]) throws(TLSError) -> [UInt8] {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var count = 0
        guard unsafe EVP_DigestSignInit(context, nil, digest, nil, pointer) == 1,
            unsafe EVP_DigestSign(context, nil, &count, message, message.count) == 1
        else { throw OpenSSLFailure.take("sign") }
        var signature = [UInt8](repeating: 0, count: count)
        guard unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1
        else { throw OpenSSLFailure.take("sign") }
        return Array(signature.prefix(count))
    }

    func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard kind != nil else { return false }
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        let status =
            unsafe EVP_DigestVerifyInit(context, nil, digest, nil, pointer) == 1
            ? unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count)
            : 0
        if status != 1 { OpenSSLFailure.clear() }
        return status == 1
    }

    /// The DER SubjectPublicKeyInfo.
    var subjectPublicKeyInfo: [UInt8] {
        let count = unsafe i2d_PUBKEY(pointer, nil)
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            var cursor = buffer.baseAddress
            initialized = Int(max(0, unsafe i2d_PUBKEY(pointer, &cursor)))
        }
    }
}

/// The keys that a leaf or a site CA may have.
enum KeyKind: Sendable {
    case p256, p384, ed25519, rsa
}
