/// The identity of a site: the first 26 characters (130 bits) of the upper-case RFC 4648 base32 of the
/// SHA-256 of the DER SubjectPublicKeyInfo of the site's CA.
///
/// It names a key, not a place: it survives the re-creation of the Site object and is what other sites pin.
package struct SiteID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Exactly 26 characters out of `A`-`Z` and `2`-`7`.
    package let text: String

    package static let length = 26

    /// Fails unless `text` is exactly 26 characters of the base32 alphabet.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard bytes.count == Self.length, bytes.allSatisfy(Base32.isSymbol) else { return nil }
        self.text = text
    }

    /// Derives the identity from a SHA-256 digest of a SubjectPublicKeyInfo (32 bytes).
    package init(publicKeyDigest digest: some Collection<UInt8>) {
        precondition(digest.count == 32, "a SHA-256 digest has 32 bytes, not \(digest.count)")
        text = String(Base32.encode(digest).prefix(Self.length))
    }

    package var description: String { text }

    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// RFC 4648 base32, upper case, without padding.
package enum Base32 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    static func isSymbol(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            || (UInt8(ascii: "2")...UInt8(ascii: "7")).contains(byte)
    }

    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var symbols: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        for byte in bytes {
            buffer = (buffer << 8) | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                symbols.append(alphabet[Int((buffer >> UInt32(bits)) & 31)])
            }
            buffer &= (1 << UInt32(bits)) - 1
        }
        if bits > 0 { symbols.append(alphabet[Int((buffer << UInt32(5 - bits)) & 31)]) }
        return String(decoding: symbols, as: UTF8.self)
    }
}
