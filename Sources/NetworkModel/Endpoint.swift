/// A place to connect to: an IPv4 or IPv6 address and a TCP port.
package struct Endpoint: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let address: IPAddress
    package let port: UInt16

    package init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    package var description: String {
        switch address {
        case .v4: "\(address):\(port)"
        case .v6: "[\(address)]:\(port)"
        }
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.address == right.address ? left.port < right.port : left.address < right.address
    }
}

/// An IP address as a value.
///
/// An IPv4-mapped IPv6 address is read as the IPv4 address that it is.
package enum IPAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// In host byte order: 127.0.0.1 is 0x7F000001.
    case v4(UInt32)
    /// The upper and the lower 64 bits.
    case v6(UInt64, UInt64)

    /// Parses dotted decimal (four parts, no leading zeros) or RFC 4291 text (dotted decimal only at its end), without a
    /// zone.
    package init?(_ text: String) {
        if let address = Self.parseV4(text) {
            self = address
        } else if let address = Self.parseV6(text) {
            self = address.unmapped
        } else {
            return nil
        }
    }

    private static func parseV4(_ text: String) -> IPAddress? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            // The integer's own parser takes signs.
            guard part.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
                let byte = UInt8(part),
                part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0")
            else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return .v4(value)
    }

    private static func parseV6(_ text: String) -> IPAddress? {
        var head = Substring(text)
        var tail: Substring?
        if let gap = text.firstIndexOfPair(":") {
            head = text[..<gap]
            tail = text[text.index(gap, offsetBy: 2)...]
        }
        guard let left = groups(head, isEnd: tail == nil), let right = groups(tail ?? "")
        else { return nil }
        let count = left.count + right.count
        guard tail == nil ? count == 8 : count <= 7 else { return nil }
        let words = left + Array(repeating: 0, count: 8 - count) + right
        let fold = { (words: ArraySlice<UInt16>) in
            words.reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        }
        return .v6(fold(words[0..<4]), fold(words[4..<8]))
    }

    /// 16-bit groups; the last ones of an address may be written as an IPv4 address.
    private static func groups(_ text: Substring, isEnd: Bool = true) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var words: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if isEnd, index == parts.count - 1, case .v4(let value)? = parseV4(String(part)) {
                words += [UInt16(value >> 16), UInt16(value & 0xFFFF)]
            } else if (1...4).contains(part.utf8.count),
                part.utf8.first != UInt8(ascii: "+"), part.utf8.first != UInt8(ascii: "-"),
                let word = UInt16(part, radix: 16)
            {
                words.append(word)
            } else {
                return nil
            }
        }
        return words
    }

    private var unmapped: IPAddress {
        guard case .v6(0, let low) = self, low >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: low))
    }

    package var isV4: Bool { if case .v4 = self { true } else { false } }

    /// What the address is when it can be no server's; nil when it can.
    package var specialUse: String? {
        switch self {
        case .v4(0), .v6(0, 0): "the unspecified address"
        case .v4(let value) where value >> 24 == 0: "an address of \"this network\""
        case .v4(let value) where value >> 16 == 0xA9FE:
            "a link-local address, where clouds keep metadata and credentials"
        case .v6(let high, _) where high >> 54 == 0xFE80 >> 6: "a link-local address"
        case .v6(0xFD00_0EC2_0000_0000, 0x254): "a metadata address of a cloud"
        case .v4(let value) where value >> 28 == 0xE: "a multicast address"
        case .v6(let high, _) where high >> 56 == 0xFF: "a multicast address"
        case .v4(let value) where value >> 28 == 0xF: "a reserved address"
        default: nil
        }
    }

    package var isLoopback: Bool {
        switch self {
        case .v4(let value): value >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    package var description: String {
        switch self {
        case .v4(let value):
            return "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
        case .v6(let high, let low):
            return Self.describe(
                [high, low].flatMap { half in
                    stride(from: 48, through: 0, by: -16).map {
                        UInt16(half >> UInt64($0) & 0xFFFF)
                    }
                }
            )
        }
    }

    /// The canonical form of RFC 5952: the longest run of two or more zero groups becomes `::`.
    private static func describe(_ words: [UInt16]) -> String {
        var best = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || words[index] != 0 {
            if index - start > max(best.count, 1) { best = start..<index }
            start = index + 1
        }
        let text = { (part: ArraySlice<UInt16>) in
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard !best.isEmpty else { return text(words[...]) }
        return text(words[..<best.lowerBound]) + "::" + text(words[best.upperBound...])
    }
}

extension String {
    /// The index of the first of two adjacent `character`s.
    fileprivate func firstIndexOfPair(_ character: Character) -> String.Index? {
        indices.first { index in
            let next = self.index(after: index)
            return self[index] == character && next != endIndex && self[next] == character
        }
    }
}
