import COpenSSL

/// What protects the records of one direction: the cipher suite that was agreed, and a secret from which keys are made.
///
/// RFC 8446 sections 7.1 to 7.3. The bytes are wiped when it ends.
@safe
struct TrafficSecret: ~Copyable {
    private let suite: Suite
    private let memory: UnsafeMutableRawBufferPointer

    /// The three cipher suites of TLS 1.3 that a context offers.
    enum Suite {
        case aes128, aes256, chacha20

        /// Of the session's handshake; nil for one that is not offered.
        init?(of ssl: OpaquePointer) {
            switch unsafe SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) {
            case 0x1301: self = .aes128
            case 0x1302: self = .aes256
            case 0x1303: self = .chacha20
            default: return nil
            }
        }

        var cipher: OpaquePointer? {
            switch self {
            case .aes128: unsafe EVP_aes_128_gcm()
            case .aes256: unsafe EVP_aes_256_gcm()
            case .chacha20: unsafe EVP_chacha20_poly1305()
            }
        }

        var keyCount: Int { self == .aes128 ? 16 : 32 }
        var digestCount: Int { self == .aes256 ? 48 : 32 }
        var digest: OpaquePointer? { unsafe self == .aes256 ? EVP_sha384() : EVP_sha256() }
    }

    /// - Returns: nil when the secret is not as long as the suite's hash.
    init?(_ bytes: [UInt8], of suite: Suite) {
        guard bytes.count == suite.digestCount else { return nil }
        self.suite = suite
        unsafe memory = .allocate(byteCount: bytes.count, alignment: 8)
        unsafe memory.copyBytes(from: bytes)
    }

    deinit {
        unsafe OPENSSL_cleanse(memory.baseAddress, memory.count)
        unsafe memory.deallocate()
    }

    /// A cipher with the key made of this secret, and the nonce of its first record.
    func keys() -> (cipher: OpaquePointer, nonce: [UInt8])? {
        var key = expand("key", suite.keyCount)
        defer { unsafe OPENSSL_cleanse(&key, key.count) }
        guard let context = unsafe EVP_CIPHER_CTX_new() else { return nil }
        guard unsafe EVP_CipherInit_ex(context, suite.cipher, nil, key, nil, -1) == 1 else {
            unsafe EVP_CIPHER_CTX_free(context)
            return nil
        }
        return unsafe (context, expand("iv", 12))
    }

    /// Goes over to the secret that follows a KeyUpdate.
    mutating func advance() {
        var next = expand("traffic upd", suite.digestCount)
        unsafe memory.copyBytes(from: next)
        unsafe OPENSSL_cleanse(&next, next.count)
    }

    /// HKDF-Expand-Label without a context, for no more than one hash.
    private func expand(_ label: String, _ count: Int) -> [UInt8] {
        let name = Array("tls13 \(label)".utf8)
        let info = [0, UInt8(count), UInt8(name.count)] + name + [0, 1]
        var code = [UInt8](repeating: 0, count: suite.digestCount)
        let result = unsafe HMAC(
            suite.digest,
            memory.baseAddress,
            Int32(memory.count),
            info,
            info.count,
            &code,
            nil
        )
        precondition(unsafe result != nil, "HMAC is not available")
        code.removeLast(code.count - count)
        return code
    }
}

/// The secrets of both directions, as the handshake has told them.
struct TrafficSecrets {
    var client: [UInt8]?
    var server: [UInt8]?

    /// Takes one line of the format that `SSLKEYLOGFILE` has.
    mutating func take(_ line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3 else { return }
        switch words[0] {
        case "CLIENT_TRAFFIC_SECRET_0": client = Self.bytes(words[2])
        case "SERVER_TRAFFIC_SECRET_0": server = Self.bytes(words[2])
        default: break
        }
    }

    private static func bytes(_ digits: Substring) -> [UInt8]? {
        let values = digits.utf8.map { UInt8(Character(UnicodeScalar($0)).hexDigitValue ?? 0) }
        return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }
}
