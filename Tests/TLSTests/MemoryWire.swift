import TLS

/// One side of a TLS conversation in memory.
@safe
final class MemorySide {
    private var session: TLSSession
    let output = Ciphertext()
    private(set) var plaintext: [UInt8] = []
    private(set) var isEnded = false
    private(set) var failure: TLSError?

    init(
        _ context: TLSContext,
        _ role: TLSSession.Role,
        recordsPerKey: UInt64 = 1 << 24
    ) throws {
        session = try TLSSession(context: context, role: role, recordsPerKey: recordsPerKey)
    }

    var neighbor: NeighborIdentity? { session.neighbor }
    var isEstablished: Bool { session.isEstablished }

    func exportKey() -> [UInt8]? { session.exportKey(label: "EXPORTER-tieline", count: 32) }
    func end() { session.end(output: output) }

    func take(_ input: [UInt8]) {
        guard failure == nil else { return }
        var buffer = [UInt8](repeating: 0, count: input.count + 17_000)
        let progress = unsafe input.withUnsafeBytes { input in
            unsafe buffer.withUnsafeMutableBytes { buffer in
                unsafe session.process(input, plaintext: buffer, output: output)
            }
        }
        plaintext += buffer.prefix(progress.plaintextCount)
        isEnded = isEnded || progress.isEnded
        failure = progress.failure
    }

    func send(_ bytes: [UInt8]) throws(TLSError) {
        do {
            try unsafe bytes.withUnsafeBytes { try unsafe session.encrypt($0, output: output) }
        } catch let error as TLSError { throw error } catch { preconditionFailure("\(error)") }
    }

    /// Everything that is to be sent.
    func drain() -> [UInt8] {
        defer { output.removeAll() }
        return unsafe output.withBytes { unsafe Array($0) }
    }
}

/// Two sides that are joined, with the bytes cut into pieces of `chunk`.
struct MemoryWire {
    let client: MemorySide
    let server: MemorySide
    var chunk = 1 << 20

    init(client: TLSContext, server: TLSContext) throws {
        self.client = try MemorySide(client, .client)
        self.server = try MemorySide(server, .server)
    }

    /// Carries bytes both ways until nothing moves any more.
    func pump() {
        if !client.isEstablished, client.failure == nil { client.take([]) }
        while !client.output.isEmpty || !server.output.isEmpty {
            carry(from: client, to: server)
            carry(from: server, to: client)
        }
    }

    private func carry(from: MemorySide, to: MemorySide) {
        var bytes = from.drain()[...]
        while !bytes.isEmpty {
            to.take(Array(bytes.prefix(chunk)))
            bytes = bytes.dropFirst(chunk)
        }
    }
}
