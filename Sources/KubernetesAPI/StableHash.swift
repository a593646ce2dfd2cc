/// FNV-1a: the same in every process, for names and for telling contents apart; no defense against forgery.
package enum StableHash {
    package static func bits32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        bytes.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    package static func bits64(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// `bits32` in eight hexadecimal digits.
    package static func hex32(_ text: String) -> String { padded(bits32(text.utf8), 8) }

    /// `bits64` in sixteen hexadecimal digits.
    package static func hex64(_ bytes: some Sequence<UInt8>) -> String { padded(bits64(bytes), 16) }

    private static func padded(_ hash: some BinaryInteger, _ width: Int) -> String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }
}
