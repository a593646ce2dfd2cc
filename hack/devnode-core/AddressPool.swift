import NetworkModel

/// The addresses of one range, the lowest free one first.
package struct AddressPool: Sendable {
    private let base: IPAddress
    private let size: UInt32
    private let first: UInt32
    private var used: Set<UInt32> = []
    private var next: UInt32

    /// - Parameters:
    ///   - base: The first address of the range; it is never given out.
    ///   - prefix: The length of the prefix; it leaves 2 to 24 bits.
    ///   - reserved: How many addresses after the first are kept back.
    package init?(base: String, prefix: Int, reserved: UInt32 = 0) {
        guard let address = IPAddress(base) else { return nil }
        let bits = (address.isV4 ? 32 : 128) - prefix
        guard (2...24).contains(bits) else { return nil }
        self.base = address
        size = UInt32(1) << UInt32(bits)
        next = reserved + 1
        first = reserved + 1
    }

    /// Takes an address; nil when the range is used up.
    ///
    /// Freed addresses come round last, so that nobody meets a stranger at an address just given up.
    package mutating func take() -> String? {
        for _ in first..<size - 1 {
            let offset = next
            next = next + 1 < size - 1 ? next + 1 : first
            if used.insert(offset).inserted { return address(at: offset).description }
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

    private func address(at offset: UInt32) -> IPAddress {
        switch base {
        case .v4(let base): .v4(base + offset)
        case .v6(let upper, let lower): .v6(upper, lower + UInt64(offset))
        }
    }

    private func offset(of text: String) -> UInt32? {
        switch (base, IPAddress(text)) {
        case (.v4(let base), .v4(let number)?) where number > base && number - base < size:
            return number - base
        case (.v6(let upper, let base), .v6(let same, let number)?)
        where same == upper && number > base && number - base < UInt64(size):
            return UInt32(number - base)
        default: return nil
        }
    }
}
