/// How a connection ended.
enum Ending: String {
    /// It got its answer, this side ended it and the server followed.
    case done
    /// Nobody accepted it.
    case refused
    /// A RST came after it was accepted.
    case reset
    /// A FIN came before the answer.
    case end
    /// A FIN came after the answer, while it was held.
    case closed
    /// No answer came in time.
    case timeout
}

/// The language in which a server is asked for its name.
enum Language {
    /// The line `name`, answered by a line: `traffic serve`.
    case lines
    /// `GET / HTTP/1.1`, answered by a body whose first line is the name; the connection stays open.
    case http

    var request: [UInt8] {
        switch self {
        case .lines: Array("name\n".utf8)
        case .http: Array("GET / HTTP/1.1\r\nHost: traffic\r\n\r\n".utf8)
        }
    }

    /// The name in a complete answer, nil while it is not complete.
    func name(in answer: [UInt8]) -> String? {
        var text = String(decoding: answer, as: UTF8.self)[...]
        if self == .http {
            guard let head = text.firstRange(of: "\r\n\r\n") else { return nil }
            text = text[head.upperBound...]
        }
        return text.firstIndex(of: "\n").map { String(text[..<$0]) }
    }
}

/// A connection that asks for the server's name and stays open.
final class Question {
    enum State: Equatable {
        case connecting, waiting
        case answered(String)
        /// This side has sent its FIN and waits for the server's.
        case finishing
        case ended(Ending)
    }

    let socket: Socket
    let start: Double
    private(set) var state = State.connecting
    private(set) var answeredAt = 0.0
    private(set) var finishedAt = 0.0
    private let language: Language
    private var answer: [UInt8] = []

    init(target: SocketAddress, language: Language) throws {
        self.language = language
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
            case .end: state = .ended(.closed)
            case .broken: state = .ended(.reset)
            case .bytes, .wouldBlock: break
            }
        case .finishing:
            var buffer: [UInt8] = Array(repeating: 0, count: 64)
            switch socket.read(into: &buffer) {
            case .end: state = .ended(.done)
            case .broken: state = .ended(.reset)
            case .bytes, .wouldBlock: break
            }
        case .ended: break
        }
    }

    /// Ends it in order: the connection is open, for the proxies between too, until the server's FIN has come.
    func finish() {
        socket.finish()
        finishedAt = now()
        state = .finishing
    }

    func expire() { state = .ended(.timeout) }

    private func connected() {
        guard socket.pendingError == 0 else {
            state = .ended(.refused)
            return
        }
        if case .broken = socket.write(language.request[...]) {
            state = .ended(.reset)
        } else {
            state = .waiting
        }
    }

    private func read() {
        var buffer: [UInt8] = Array(repeating: 0, count: 256)
        switch socket.read(into: &buffer) {
        case .bytes(let count):
            answer += buffer[..<count]
            if let name = language.name(in: answer) {
                answeredAt = now()
                state = .answered(name)
            } else if answer.count > 64 * 1024 {
                state = .ended(.end)
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
