/// Moves bytes one way over one blocking connection, checks them, and ends with a half-close.
struct TransferClient {
    let target: SocketAddress
    let bytes: UInt64
    let direction: Transfer.Direction

    func run() throws {
        let start = now()
        let socket = try Socket.connect(to: target, nonBlocking: false)
        defer { socket.close() }
        let intact: Bool
        switch direction {
        case .get: intact = try get(socket)
        case .put: intact = try put(socket)
        }
        emit("{\"bytes\":\(bytes),\"intact\":\(intact),\"seconds\":\(now() - start)}")
    }

    /// Sends the request and FIN at once: the answer must come through a half-closed connection, then FIN.
    private func get(_ socket: Socket) throws -> Bool {
        try send(socket, Array("get \(bytes)\n".utf8))
        socket.finish()
        var received: UInt64 = 0
        var buffer = Array(repeating: UInt8(0), count: 256 * 1024)
        while true {
            switch socket.read(into: &buffer) {
            case .bytes(let count):
                if let offset = Pattern.mismatch(buffer[..<count], from: received) {
                    throw SystemError("byte \(offset) differs", 0)
                }
                received += UInt64(count)
            case .end: return received == bytes
            case .broken(let code): throw SystemError("after \(received) bytes", code)
            case .wouldBlock: break
            }
        }
    }

    private func put(_ socket: Socket) throws -> Bool {
        try send(socket, Array("put \(bytes)\n".utf8))
        var checksum = Checksum()
        var sent: UInt64 = 0
        while sent < bytes {
            var buffer = Array(repeating: UInt8(0), count: Int(min(bytes - sent, 256 * 1024)))
            Pattern.fill(&buffer, from: sent)
            checksum.add(buffer[...])
            try send(socket, buffer)
            sent += UInt64(buffer.count)
        }
        socket.finish()
        var answer: [UInt8] = []
        var buffer = Array(repeating: UInt8(0), count: 256)
        while case .bytes(let count) = socket.read(into: &buffer) { answer += buffer[..<count] }
        return String(decoding: answer, as: UTF8.self) == "sum \(checksum.value)\n"
    }

    private func send(_ socket: Socket, _ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch socket.write(rest) {
            case .bytes(let count): rest = rest.dropFirst(count)
            case .broken(let code): throw SystemError("send", code)
            case .end, .wouldBlock: break
            }
        }
    }
}
