/// The bytes of a transfer: a function of their offset, so that a lost, doubled or moved byte shows.
enum Pattern {
    static func fill(_ buffer: inout [UInt8], from offset: UInt64) {
        for index in buffer.indices { buffer[index] = byte(at: offset &+ UInt64(index)) }
    }

    /// The index of the first byte that is not the pattern's, or nil.
    static func mismatch(_ buffer: ArraySlice<UInt8>, from offset: UInt64) -> UInt64? {
        var position = offset
        for value in buffer {
            if value != byte(at: position) { return position }
            position &+= 1
        }
        return nil
    }

    private static func byte(at offset: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: (offset &* 0x9E37_79B9_7F4A_7C15) >> 56)
    }
}

/// FNV-1a, 64 bits: the checksum that both ends of a transfer compare.
struct Checksum {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: ArraySlice<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
}
