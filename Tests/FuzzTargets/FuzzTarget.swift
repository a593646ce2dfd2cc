/// What bytes from outside are thrown at; each ends the process when something does not hold.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// A neighbor's bytes as frames.
    case frames
    /// A neighbor's advertisement.
    case lsa
    /// A neighbor's and a socket's deeds on one stream.
    case streams
    /// What decides, of a client's connection and of a stream's end at a server.
    case clients, servers
    /// The records of a lane.
    case records
    /// What loops, neighbors and strangers tell the control of a gateway.
    case control
    /// The text of a manifest.
    case manifests

    package func run(_ bytes: [UInt8]) {
        switch self {
        case .frames: fuzzFrames(bytes)
        case .lsa: fuzzLSA(bytes)
        case .streams: fuzzStream(bytes)
        case .clients: fuzzClient(bytes)
        case .servers: fuzzServer(bytes)
        case .records: fuzzRecords(bytes)
        case .control: fuzzControl(bytes)
        case .manifests: fuzzManifests(bytes)
        }
    }
}

/// Decisions, read from the bytes of a fuzzer; without bytes they are zero.
struct Decisions {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func number() -> Int { Int(byte()) << 8 | Int(byte()) }

    mutating func long() -> UInt64 {
        (0..<8).reduce(0) { (sum: UInt64, _) in sum << 8 | UInt64(byte()) }
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}
