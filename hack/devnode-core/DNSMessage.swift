/// A DNS query and the answer to it, as far as a cluster's resolver needs them (RFC 1035, RFC 6891).
package struct DNSQuery: Equatable, Sendable {
    package static let a: UInt16 = 1
    package static let aaaa: UInt16 = 28
    static let optType: UInt16 = 41

    package var id: UInt16
    /// Lower case, without the final dot.
    package var name: String
    package var type: UInt16
    package var isRecursionDesired: Bool
    /// The size that the client takes over UDP; 512 without EDNS.
    package var payloadSize: Int
    package var hasEDNS: Bool
    /// The question as it came, letter case included: it is sent back.
    var question: [UInt8]

    /// Reads one query; nil for anything that is not a query with one question.
    package init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes)
        guard let id = reader.u16(), let flags = reader.u16(),
            flags & 0xF800 == 0,  // a query with opcode 0
            reader.u16() == 1, let answers = reader.u16(), let authorities = reader.u16(),
            let additional = reader.u16(), answers == 0, authorities == 0
        else { return nil }
        self.id = id
        isRecursionDesired = flags & 0x0100 != 0
        let start = reader.position
        guard let name = reader.name(), let type = reader.u16(), let qclass = reader.u16(),
            qclass == 1 || qclass == 255
        else { return nil }
        self.name = name
        self.type = type
        question = Array(bytes[start..<reader.position])
        payloadSize = 512
        hasEDNS = false
        for _ in 0..<additional {
            guard reader.name() != nil, let type = reader.u16(), let size = reader.u16(),
                reader.u16() != nil, reader.u16() != nil, let length = reader.u16(),
                reader.skip(Int(length))
            else { return nil }
            if type == Self.optType {
                hasEDNS = true
                payloadSize = max(512, Int(size))
            }
        }
    }

    /// The response to this query.
    ///
    /// An answer of more than `limit` bytes is cut and marked as truncated.
    package func response(_ answer: DNSAnswer, timeToLive: UInt32, limit: Int) -> [UInt8] {
        let ednsSize = hasEDNS ? 11 : 0
        let longest = 12 + (answer.addresses.map(\.count).max() ?? 0)
        let room = max(0, (limit - 12 - question.count - ednsSize) / longest)
        let records = answer.addresses.prefix(room)
        let truncated = records.count < answer.addresses.count
        // A response, authoritative; recursion is offered so that resolvers do not complain.
        var flags: UInt16 = 0x8480 | answer.code
        if isRecursionDesired { flags |= 0x0100 }
        if truncated { flags |= 0x0200 }
        var bytes: [UInt8] = []
        bytes.append(u16: id)
        bytes.append(u16: flags)
        bytes.append(u16: 1)
        bytes.append(u16: UInt16(records.count))
        bytes.append(u16: 0)
        bytes.append(u16: hasEDNS ? 1 : 0)
        bytes += question
        for address in records {
            bytes.append(u16: 0xC00C)  // the name of the question
            bytes.append(u16: address.count == 4 ? Self.a : Self.aaaa)
            bytes.append(u16: 1)
            bytes.append(u16: UInt16(timeToLive >> 16))
            bytes.append(u16: UInt16(timeToLive & 0xFFFF))
            bytes.append(u16: UInt16(address.count))
            bytes += address
        }
        if hasEDNS {
            bytes.append(0)
            bytes.append(u16: Self.optType)
            bytes.append(u16: 4096)
            bytes += [0, 0, 0, 0, 0, 0]
        }
        return bytes
    }
}

/// What a zone says about a name and type.
package struct DNSAnswer: Equatable, Sendable {
    static let noError: UInt16 = 0
    static let nameError: UInt16 = 3

    /// Four bytes for an IPv4 address, sixteen for an IPv6 one.
    package var addresses: [[UInt8]]
    var code: UInt16

    /// The name exists; without addresses it has no record of that type.
    package static func exists(_ addresses: [[UInt8]] = []) -> DNSAnswer {
        DNSAnswer(addresses: addresses, code: noError)
    }

    /// No such name.
    package static let unknown = DNSAnswer(addresses: [], code: nameError)
}

/// Reads big-endian numbers and names; nil beyond the end.
private struct Reader {
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func u16() -> UInt16? {
        guard position + 2 <= bytes.count else { return nil }
        defer { position += 2 }
        return UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
    }

    mutating func skip(_ count: Int) -> Bool {
        guard position + count <= bytes.count else { return false }
        position += count
        return true
    }

    /// A name without compression: a query has nothing to point back to.
    mutating func name() -> String? {
        var labels: [String] = []
        var total = 0
        while position < bytes.count {
            let length = Int(bytes[position])
            position += 1
            if length == 0 { return labels.joined(separator: ".") }
            total += length + 1
            guard length < 64, total < 255, position + length <= bytes.count else { return nil }
            let label = String(decoding: bytes[position..<position + length], as: UTF8.self)
            labels.append(label.lowercased())
            position += length
        }
        return nil
    }
}

extension [UInt8] {
    fileprivate mutating func append(u16 value: UInt16) {
        append(UInt8(value >> 8))
        append(UInt8(value & 0xFF))
    }
}
