import COpenSSL
import Synchronization

/// Hashes, MACs, key derivation and random bytes.
///
/// The algorithms are part of OpenSSL's default provider; that they are missing means a broken installation, so it
/// is a precondition and no error.
package enum Crypto {
    package static let digestCount = 32

    package static func sha256(_ message: [UInt8]) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: digestCount) { output, count in
            var written: UInt32 = 0
            let status = unsafe EVP_Digest(
                message,
                message.count,
                output.baseAddress,
                &written,
                EVP_sha256(),
                nil
            )
            precondition(status == 1 && written == digestCount, "SHA-256 is not available")
            count = Int(written)
        }
    }

    /// HMAC-SHA-256, RFC 2104: 32 bytes.
    package static func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        unsafe hmac.withLock { context in
            var code = [UInt8](repeating: 0, count: digestCount)
            var count = 0
            let isDone =
                unsafe EVP_MAC_init(context, key, key.count, nil) == 1
                && EVP_MAC_update(context, message, message.count) == 1
                && EVP_MAC_final(context, &code, &count, digestCount) == 1
            precondition(isDone && count == digestCount, "HMAC-SHA-256 is not available")
            return code
        }
    }

    /// Used again and again: to look for the algorithm takes longer than the MAC of a frame.
    private static let hmac = unsafe Mutex(copenssl_hmac_sha256())

    /// The first 16 bytes of HMAC-SHA-256.
    package static func mac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        Array(hmacSHA256(key: key, message).prefix(16))
    }

    /// Compares in time that depends on the lengths only.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe CRYPTO_memcmp(left, right, left.count) == 0
    }

    /// HKDF-SHA-256, RFC 5869: extract and expand; `count` is at most 255 x 32.
    package static func hkdfSHA256(
        secret: [UInt8],
        salt: [UInt8],
        purpose: [UInt8],
        count: Int
    ) -> [UInt8] {
        precondition((1...255 * digestCount).contains(count), "HKDF cannot give \(count) bytes")
        let pseudorandomKey = hmacSHA256(key: salt, secret)
        var output: [UInt8] = []
        var block: [UInt8] = []
        var number: UInt8 = 1
        while output.count < count {
            block = hmacSHA256(key: pseudorandomKey, block + purpose + [number])
            output += block
            number &+= 1
        }
        return Array(output.prefix(count))
    }

    /// Bytes of the cryptographic random generator.
    package static func randomBytes(_ count: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            let status = unsafe RAND_bytes(output.baseAddress, Int32(count))
            precondition(status == 1, "no random bytes")
            initialized = count
        }
    }
}

/// A key for X25519 key agreement, RFC 7748.
package struct X25519PrivateKey: Sendable {
    private let key: [UInt8]
    /// 32 bytes.
    package let publicKey: [UInt8]

    /// A new random key.
    package init() {
        let key = Crypto.randomBytes(32)
        guard let pair = Self.load(key) else { preconditionFailure("X25519 is not available") }
        self.key = key
        publicKey = pair
    }

    /// The shared secret (32 bytes), to be passed through `Crypto.hkdfSHA256`; nil when `other` is no usable key.
    package func agree(with other: [UInt8]) -> [UInt8]? {
        guard other.count == 32 else { return nil }
        let own = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, key, key.count)
        let peer = unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, other, other.count)
        let context = unsafe EVP_PKEY_CTX_new(own, nil)
        defer {
            unsafe EVP_PKEY_CTX_free(context)
            unsafe EVP_PKEY_free(own)
            unsafe EVP_PKEY_free(peer)
            OpenSSLFailure.clear()
        }
        var secret = [UInt8](repeating: 0, count: 32)
        var count = secret.count
        guard unsafe own != nil, unsafe peer != nil, unsafe context != nil,
            unsafe EVP_PKEY_derive_init(context) == 1,
            unsafe EVP_PKEY_derive_set_peer(context, peer) == 1,
            unsafe EVP_PKEY_derive(context, &secret, &count) == 1, count == secret.count
        else { return nil }
        return secret
    }

    private static func load(_ key: [UInt8]) -> [UInt8]? {
        let own = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, key, key.count)
        defer { unsafe EVP_PKEY_free(own) }
        var publicKey = [UInt8](repeating: 0, count: 32)
        var count = publicKey.count
        guard unsafe own != nil,
            unsafe EVP_PKEY_get_raw_public_key(own, &publicKey, &count) == 1
        else { return nil }
        return publicKey
    }
}
