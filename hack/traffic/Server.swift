/// Accepts connections and obeys the lines that they send.
final class Server {
    private let name: String
    private let poller: Poller
    private let listener: Socket
    private var connections: [Int32: ServedConnection] = [:]

    init(name: String, poller: Poller, listener: Socket) {
        self.name = name
        self.poller = poller
        self.listener = listener
    }

    /// Serves until SIGTERM and `linger` seconds beyond, as servers do whose clients hear of the end with a delay.
    func run(linger: Double) throws {
        let termination = try TerminationSignal()
        poller.add(termination.descriptor, .read)
        poller.add(listener.descriptor, .read)
        var buffer = Array(repeating: UInt8(0), count: 256 * 1024)
        var end: Double?
        while end.map({ now() < $0 }) ?? true {
            for descriptor in poller.wait(seconds: end.map { $0 - now() }) {
                if descriptor == termination.descriptor {
                    poller.remove(descriptor)
                    end = now() + linger
                } else if descriptor == listener.descriptor {
                    accept()
                } else if let connection = connections[descriptor] {
                    serve(connection, &buffer)
                }
            }
        }
    }

    private func accept() {
        while let socket = listener.accept() {
            connections[socket.descriptor] = ServedConnection(socket: socket, name: name)
            poller.add(socket.descriptor, .read)
        }
    }

    private func serve(_ connection: ServedConnection, _ buffer: inout [UInt8]) {
        guard connection.turn(&buffer) else {
            poller.remove(connection.socket.descriptor)
            connection.socket.close()
            connections[connection.socket.descriptor] = nil
            return
        }
        poller.change(connection.socket.descriptor, connection.interest)
    }
}

/// One client of the server.
final class ServedConnection {
    private enum Mode {
        case lines
        case echo
        case taking(left: UInt64, checksum: Checksum)
    }

    let socket: Socket
    private let name: String
    private var mode = Mode.lines
    private var line: [UInt8] = []
    private var output: [UInt8] = []
    private var written = 0
    /// Pattern bytes still to be produced for `get`.
    private var owed: UInt64 = 0
    private var produced: UInt64 = 0
    private var ended = false

    init(socket: Socket, name: String) {
        self.socket = socket
        self.name = name
    }

    private var pending: Int { output.count - written }

    var interest: Poller.Interest {
        var interest: Poller.Interest = []
        if pending > 0 || owed > 0 { interest.insert(.write) }
        if !ended, pending < 1 << 20 { interest.insert(.read) }
        return interest
    }

    /// Reads and writes once; false when the connection is over.
    func turn(_ buffer: inout [UInt8]) -> Bool {
        if !ended, pending < 1 << 20 {
            switch socket.read(into: &buffer) {
            case .bytes(let count): take(buffer[..<count])
            case .end: ended = true
            case .wouldBlock: break
            case .broken: return false
            }
        }
        guard flush() else { return false }
        return !(ended && pending == 0 && owed == 0)
    }

    private func take(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            switch mode {
            case .echo:
                output += rest
                return
            case .taking(let left, var checksum):
                let part = rest.prefix(Int(min(left, UInt64(rest.count))))
                checksum.add(part)
                rest = rest.dropFirst(part.count)
                mode = .taking(left: left - UInt64(part.count), checksum: checksum)
                finishTaking()
            case .lines:
                let byte = rest.removeFirst()
                if byte == UInt8(ascii: "\n") {
                    obey(String(decoding: line, as: UTF8.self))
                    line.removeAll()
                } else if line.count < 256 {
                    line.append(byte)
                }
            }
        }
    }

    private func obey(_ command: String) {
        let words = command.split(separator: " ")
        switch words.first {
        case "name": output += Array("\(name)\n".utf8)
        case "echo": mode = .echo
        case "get": owed += words.count > 1 ? UInt64(words[1]) ?? 0 : 0
        case "put":
            mode = .taking(left: words.count > 1 ? UInt64(words[1]) ?? 0 : 0, checksum: Checksum())
            finishTaking()
        default: output += Array("unknown command\n".utf8)
        }
    }

    private func finishTaking() {
        guard case .taking(0, let checksum) = mode else { return }
        output += Array("sum \(checksum.value)\n".utf8)
        mode = .lines
    }

    private func flush() -> Bool {
        while true {
            if pending == 0 {
                output.removeAll(keepingCapacity: true)
                written = 0
                guard owed > 0 else { return true }
                output = Array(repeating: 0, count: Int(min(owed, 256 * 1024)))
                Pattern.fill(&output, from: produced)
                produced += UInt64(output.count)
                owed -= UInt64(output.count)
            }
            switch socket.write(output[written...]) {
            case .bytes(let count): written += count
            case .wouldBlock, .end: return true
            case .broken: return false
            }
        }
    }
}
