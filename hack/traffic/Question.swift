/// How a connection ended.
enum Ending: String {
    /// It got its answer and was closed by this side.
    case done
    /// Nobody accepted it.
    case refused
    /// A RST came after it was accepted.
    case reset
    /// A FIN came before the answer, or while it was held.
    case end
    /// No answer came in time.
    case timeout
}

/// A connection that asks for the server's name: connect, send `name`, read one line.
final class Question {
    enum State: Equatable {
        case connecting, waiting
        case answered(String)
        case ended(Ending)
    }

    let socket: Socket
    let start: Double
    private(set) var state = State.connecting
    private(set) var answeredAt = 0.0
    private var line: [UInt8] = []

    init(target: SocketAddress) throws {
        start = now()
        socket = try Socket.connect(to: target)
    }

    var interest: Poller.Interest { state == .connecting ? .write : .read }

    /// Goes on as far as the socket lets it; called whenever the poller names the socket.
    func turn() {
        switch state {
        case .connecting: connected()
        case .waiting: read()
        case .answered:
            var buffer: [UInt8] = Array(repeating: 0, count: 64)
            switch socket.read(into: &buffer) {
            case .end: state = .ended(.end)
            case .broken: state = .ended(.reset)
            case .bytes, .wouldBlock: break
            }
        case .ended: break
        }
    }

    func expire() { state = .ended(.timeout) }

    private func connected() {
        guard socket.pendingError == 0 else {
            state = .ended(.refused)
            return
        }
        if case .broken = socket.write(Array("name\n".utf8)[...]) {
            state = .ended(.reset)
        } else {
            state = .waiting
        }
    }

    private func read() {
        var buffer: [UInt8] = Array(repeating: 0, count: 256)
        switch socket.read(into: &buffer) {
        case .bytes(let count):
            line += buffer[..<count]
            if line.last == UInt8(ascii: "\n") {
                answeredAt = now()
                state = .answered(String(decoding: line.dropLast(), as: UTF8.self))
            }
        case .end: state = .ended(.end)
        case .broken: state = .ended(.reset)
        case .wouldBlock: break
        }
    }
}

/// A JSON object of counts, with sorted keys.
func json(_ counts: [String: Int]) -> String {
    "{"
        + counts.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }.joined(
            separator: ","
        )
        + "}"
}
