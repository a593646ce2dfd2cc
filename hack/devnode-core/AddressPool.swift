/// IPv4 addresses of one range, the lowest free one first.
package struct AddressPool: Sendable {
    private let base: UInt32
    private let size: UInt32
    private var used: Set<UInt32> = []
    private var next: UInt32

    /// - Parameters:
    ///   - base: The first address of the range; it is never given out.
    ///   - prefix: The length of the prefix, 8...30.
    ///   - reserved: How many addresses after the first are kept back.
    package init?(base: String, prefix: Int, reserved: UInt32 = 0) {
        guard let number = Self.number(base), (8...30).contains(prefix) else { return nil }
        self.base = number
        size = UInt32(1) << UInt32(32 - prefix)
        next = reserved + 1
        first = reserved + 1
    }

    private let first: UInt32

    /// Takes an address; nil when the range is used up.
    ///
    /// Freed addresses come round last, so that nobody meets a stranger at an address just given up.
    package mutating func take() -> String? {
        for _ in first..<size - 1 {
            let offset = next
            next = next + 1 < size - 1 ? next + 1 : first
            if used.insert(offset).inserted { return Self.text(base + offset) }
        }
        return nil
    }

    /// Marks an address that is in use already; false when it is not of this range or taken.
    package mutating func claim(_ address: String) -> Bool {
        guard let offset = offset(of: address) else { return false }
        return used.insert(offset).inserted
    }

    package mutating func free(_ address: String) {
        if let offset = offset(of: address) { used.remove(offset) }
    }

    private func offset(of address: String) -> UInt32? {
        guard let number = Self.number(address), number > base, number - base < size else {
            return nil
        }
        return number - base
    }

    private static func number(_ text: String) -> UInt32? {
        parseAddress(text)?.reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func text(_ number: UInt32) -> String {
        [24, 16, 8, 0].map { String((number >> $0) & 0xFF) }.joined(separator: ".")
    }
}
