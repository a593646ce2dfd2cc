/// The identity of a site: the first 26 characters (130 bits) of the upper-case RFC 4648 base32 of the
/// SHA-256 of the DER SubjectPublicKeyInfo of the site's CA.
///
/// It names a key, not a place: it survives the re-creation of the Site object and is what other sites pin. Every frame that opens a stream
/// has several, and every stream: so it is a number, which needs no memory of its own, and a text only where one is asked for.
package struct SiteID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Twelve symbols, twelve more and the last two, five bits each, so that numbers compare as texts do.
    private let head: UInt64
    private let middle: UInt64
    private let tail: UInt16

    package static let length = 26

    /// Fails unless `text` is exactly 26 characters of the base32 alphabet.
    package init?(_ text: String) {
        var text = text
        let parsed = text.withUTF8 { unsafe Self(ascii: $0.span.bytes) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// The same, of bytes.
    package init?(ascii bytes: RawSpan) {
        guard bytes.byteCount == Self.length, let head = Self.number(bytes, 0..<12),
            let middle = Self.number(bytes, 12..<24), let tail = Self.number(bytes, 24..<26)
        else { return nil }
        self.head = head
        self.middle = middle
        self.tail = UInt16(tail)
    }

    /// Derives the identity from a SHA-256 digest of a SubjectPublicKeyInfo (32 bytes).
    package init(publicKeyDigest digest: some Collection<UInt8>) {
        precondition(digest.count == 32, "a SHA-256 digest has 32 bytes, not \(digest.count)")
        guard let derived = Self(String(Base32.encode(digest).prefix(Self.length))) else {
            preconditionFailure("base32 is no base32")
        }
        self = derived
    }

    /// Nil when a byte is none of the alphabet.
    private static func number(_ bytes: RawSpan, _ range: Range<Int>) -> UInt64? {
        var number: UInt64 = 0
        for offset in range {
            let symbol = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            guard let rank = Base32.rank(of: symbol) else { return nil }
            number = number << 5 | UInt64(rank)
        }
        return number
    }

    /// The 26 characters, as bytes.
    package var ascii: InlineArray<26, UInt8> {
        InlineArray { index in
            let bits =
                switch index {
                case 0..<12: head >> UInt64(5 * (11 - index))
                case 12..<24: middle >> UInt64(5 * (23 - index))
                default: UInt64(tail) >> UInt64(5 * (25 - index))
                }
            return Base32.symbol(ofRank: UInt8(truncatingIfNeeded: bits & 31))
        }
    }

    /// Exactly 26 characters out of `A`-`Z` and `2`-`7`.
    package var text: String {
        let ascii = ascii
        return String(decoding: ascii.indices.map { ascii[$0] }, as: UTF8.self)
    }

    package var description: String { text }

    package static func < (left: Self, right: Self) -> Bool {
        (left.head, left.middle, left.tail) < (right.head, right.middle, right.tail)
    }
}

/// RFC 4648 base32, upper case, without padding.
package enum Base32 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    /// Its place among the symbols in the order of their codes, in which the digits come first.
    static func rank(of symbol: UInt8) -> UInt8? {
        switch symbol {
        case UInt8(ascii: "2")...UInt8(ascii: "7"): symbol - UInt8(ascii: "2")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): symbol - UInt8(ascii: "A") + 6
        default: nil
        }
    }

    static func symbol(ofRank rank: UInt8) -> UInt8 {
        rank < 6 ? UInt8(ascii: "2") + rank : UInt8(ascii: "A") + rank - 6
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
