import CertificateFixtures
import TLS
import Testing

@Suite("Crypto")
struct CryptoTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func bytes(_ hex: String) -> [UInt8] {
        stride(from: 0, to: hex.utf8.count, by: 2).compactMap { offset in
            let start = hex.index(hex.startIndex, offsetBy: offset)
            return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)
        }
    }

    @Test("SHA-256 follows FIPS 180-2")
    func digest() {
        #expect(
            hex(Crypto.sha256(Array("abc".utf8)))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
    }

    @Test("HMAC-SHA-256 follows RFC 4231, case 2; the MAC is its first half")
    func hmac() {
        let key = Array("Jefe".utf8)
        let message = Array("what do ya want for nothing?".utf8)
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        #expect(hex(Crypto.hmacSHA256(key: key, message)) == expected)
        #expect(hex(Crypto.mac(key: key, message)) == expected.prefix(32))
        #expect(Crypto.hmacSHA256(key: [], []).count == 32)
    }

    @Test("HKDF-SHA-256 follows RFC 5869, case 1")
    func hkdf() {
        let output = Crypto.hkdfSHA256(
            secret: Array(repeating: 0x0B, count: 22),
            salt: Array(0...12),
            purpose: Array(0xF0...0xF9),
            count: 42
        )
        #expect(
            hex(output)
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        )
    }

    @Test("two X25519 keys agree, and a low-order key is refused")
    func agreement() {
        let (left, right) = (X25519PrivateKey(), X25519PrivateKey())
        let secret = left.agree(with: right.publicKey)
        #expect(secret?.count == 32)
        #expect(secret == right.agree(with: left.publicKey))
        #expect(left.agree(with: Array(repeating: 0, count: 32)) == nil)
        #expect(left.agree(with: [1, 2, 3]) == nil)
    }

    @Test("random bytes differ")
    func random() {
        #expect(Crypto.randomBytes(32) != Crypto.randomBytes(32))
    }

    @Test("comparison looks at every byte")
    func equality() {
        #expect(Crypto.areEqual([1, 2, 3], [1, 2, 3]))
        #expect(!Crypto.areEqual([1, 2, 3], [1, 2, 4]))
        #expect(!Crypto.areEqual([1, 2, 3], [1, 2]))
        #expect(Crypto.areEqual([], []))
    }

    @Test("every accepted kind of leaf key signs what its public key verifies")
    func signatures() throws {
        let site = try FixtureSite()
        let message = Array("an advertisement".utf8)
        for kind in [FixtureKey.Kind.p256, .p384, .ed25519, .rsa(bits: 3072)] {
            let credentials = try site.leaf(key: kind).credentials()
            let signature = try credentials.sign(message)
            let key = credentials.identity.publicKey
            #expect(key.isValid(signature: signature, for: message))
            #expect(!key.isValid(signature: signature, for: message + [0]))
            #expect(!key.isValid(signature: [], for: message))
            var broken = signature
            broken[broken.count / 2] ^= 1
            #expect(!key.isValid(signature: broken, for: message))
        }
        let noKey = PublicKey(subjectPublicKeyInfo: [1, 2, 3])
        #expect(!noKey.isValid(signature: message, for: message))
    }
}
