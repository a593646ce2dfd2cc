package import FoundationEssentials
import NetworkModel

/// Some of a site's services: those of whose names a stable hash leads here.
///
/// Written down, each service is one line of JSON, in the order of their names: of a part that comes again only the lines
/// that changed are decoded. A part is known by its digest; equal digests are equal parts.
package struct ConfigurationPart: Sendable {
    /// How many parts there may be.
    package static let counts: Set<Int> = [1, 2, 4, 8, 16, 32, 64]

    package let digest: String
    package let services: [ServiceConfiguration]
    /// As it is written down.
    package let bytes: Data
    /// How many lines were decoded for it.
    package let decoded: Int

    /// Reads a part; what `last` has in equal lines is taken from there.
    package init(_ bytes: Data, last: ConfigurationPart? = nil) throws {
        var known: [Data.SubSequence: ServiceConfiguration] = [:]
        if let last {
            for (line, service) in zip(last.lines, last.services) { known[line] = service }
        }
        var services: [ServiceConfiguration] = []
        var decoded = 0
        for line in Self.lines(of: bytes) {
            if let service = known[line] {
                services.append(service)
                continue
            }
            let service = try JSONDecoder().decode(ServiceConfiguration.self, from: line)
            try service.validate()
            services.append(service)
            decoded += 1
        }
        try checkUnique(services.map(\.name), "services")
        try checkUnique(services.map(\.address.text), "addresses of services")
        self.services = services
        self.bytes = bytes
        self.decoded = decoded
        digest = Self.digest(of: bytes)
    }

    private var lines: [Data.SubSequence] { Self.lines(of: bytes) }

    /// An array is looked through many times as fast as `Data` by its own `split`.
    private static func lines(of bytes: Data) -> [Data.SubSequence] {
        var lines: [Data.SubSequence] = []
        var start = bytes.startIndex
        for (offset, byte) in Array(bytes).enumerated() where byte == UInt8(ascii: "\n") {
            let end = bytes.startIndex + offset
            if start < end { lines.append(bytes[start..<end]) }
            start = end + 1
        }
        if start < bytes.endIndex { lines.append(bytes[start...]) }
        return lines
    }

    /// One service as it is written down.
    package static func line(_ service: ServiceConfiguration) throws -> Data {
        var line = try JSONEncoder.canonical.encode(service)
        line.append(UInt8(ascii: "\n"))
        return line
    }

    /// Tells contents apart, by FNV-1a and the length; no defense against forgery, which whoever writes Secrets has no need of.
    package static func digest(of bytes: Data) -> String {
        let hash = hash(Array(bytes))
        return "\(String(hash, radix: 16))-\(String(bytes.count, radix: 16))"
    }

    /// Which of `count` parts a service belongs to.
    package static func index(of service: String, among count: Int) -> Int {
        let hash = hash(service.utf8)
        // The low bits of FNV-1a alone are those of a weak hash.
        return Int((hash ^ hash >> 32) % UInt64(max(1, count)))
    }

    private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// The key of the part within its Secret, and the name of its file.
    package static func fileName(_ digest: String) -> String { "services-\(digest).jsonl" }
}

extension ConfigurationPart: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.digest == right.digest }
}

/// What two documents differ by in their services.
package struct ServiceDifference: Equatable, Sendable {
    /// As they were, in order: those that are gone, and those that are others now.
    package var before: [ServiceConfiguration] = []
    /// As they are: those that are new, and those that were others.
    package var after: [ServiceConfiguration] = []
    /// How many services were compared; parts of equal digest are not looked into.
    package var compared = 0

    package var isEmpty: Bool { before.isEmpty && after.isEmpty }

    package init(from old: ConfigurationDocument?, to new: ConfigurationDocument) {
        if let parts = new.parts, let known = old?.parts, parts.count == known.count {
            for (old, new) in zip(known, parts) where old != new {
                add(from: old.services, to: new.services)
            }
        } else {
            add(from: old?.services ?? [], to: new.services)
        }
    }

    package init(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        add(from: old, to: new)
    }

    private mutating func add(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        var known: [String: ServiceConfiguration] = [:]
        for service in old { known[service.name] = service }
        compared += new.count
        var replaced: Set<String> = []
        for service in new {
            guard let before = known.removeValue(forKey: service.name) else {
                after.append(service)
                continue
            }
            if before != service {
                after.append(service)
                replaced.insert(service.name)
            }
        }
        before += old.filter { known[$0.name] != nil || replaced.contains($0.name) }
    }
}

extension ConfigurationDocument {
    /// All services; in the order of their names only where they are not in parts.
    package var services: [ServiceConfiguration] {
        parts.map { $0.flatMap(\.services) } ?? configuration.services
    }
}
