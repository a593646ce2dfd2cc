import Glibc

/// Keeps messages going to and fro on many connections, checks every byte and counts those that broke.
final class FlowClient {
    private final class Conversation {
        let socket: Socket
        var started = false
        var sent: UInt64 = 0
        var received: UInt64 = 0
        var resumeAt = 0.0
        /// When the last byte came; the beginning before the first.
        var heardAt = now()
        var hasStalled = false

        init(socket: Socket) { self.socket = socket }
    }

    private let poller: Poller
    private let target: SocketAddress
    private let count: Int
    private let seconds: Double
    private let size: Int
    private let pause: Double
    private var conversations: [Int32: Conversation] = [:]
    private var endings: [String: Int] = [:]
    private var corrupted = 0
    private var messages = 0
    private var stalled = 0
    private var longestSilence = 0.0
    private var inputEnded = false

    init(
        poller: Poller,
        target: SocketAddress,
        count: Int,
        seconds: Double,
        size: Int,
        pause: Double
    ) {
        self.poller = poller
        self.target = target
        self.count = count
        self.seconds = seconds
        self.size = size
        self.pause = pause
    }

    func run() throws {
        poller.add(0, .read)
        for _ in 0..<count {
            let socket = try Socket.connect(to: target)
            conversations[socket.descriptor] = Conversation(socket: socket)
            poller.add(socket.descriptor, .write)
        }
        let end = now() + seconds
        var announced = false
        var buffer = Array(repeating: UInt8(0), count: 64 * 1024)
        while now() < end, !inputEnded, !conversations.isEmpty {
            for descriptor in poller.wait(seconds: pause) { turn(descriptor, &buffer) }
            for conversation in conversations.values { watch(conversation) }
            for conversation in conversations.values
            where conversation.resumeAt > 0 && now() >= conversation.resumeAt {
                conversation.resumeAt = 0
                send(conversation)
            }
            if !announced, conversations.values.allSatisfy({ $0.received > 0 }) {
                announced = true
                emit("{\"flowing\":\(conversations.count)}")
            }
        }
        emit(
            "{\"alive\":\(conversations.count),\"broken\":\(json(endings)),\"corrupted\":\(corrupted),\"messages\":\(messages),"
                + "\"stalled\":\(stalled),\"longestSilenceMilliseconds\":\(Int(longestSilence * 1000))}"
        )
    }

    /// Counts a connection once on which no byte came for a second.
    private func watch(_ conversation: Conversation) {
        let silence = now() - conversation.heardAt
        longestSilence = max(longestSilence, silence)
        if silence > 1, !conversation.hasStalled {
            conversation.hasStalled = true
            stalled += 1
        }
    }

    private func turn(_ descriptor: Int32, _ buffer: inout [UInt8]) {
        if descriptor == 0 {
            readInput()
            return
        }
        guard let conversation = conversations[descriptor] else { return }
        guard conversation.started else {
            begin(conversation)
            return
        }
        switch conversation.socket.read(into: &buffer) {
        case .bytes(let count): received(conversation, buffer[..<count])
        case .end: drop(conversation, .end)
        case .broken: drop(conversation, .reset)
        case .wouldBlock: break
        }
    }

    private func begin(_ conversation: Conversation) {
        guard conversation.socket.pendingError == 0 else {
            drop(conversation, .refused)
            return
        }
        conversation.started = true
        _ = conversation.socket.write(Array("echo\n".utf8)[...])
        poller.change(conversation.socket.descriptor, .read)
        send(conversation)
    }

    private func send(_ conversation: Conversation) {
        var message = Array(repeating: UInt8(0), count: size)
        Pattern.fill(&message, from: conversation.sent)
        if case .bytes(let count) = conversation.socket.write(message[...]) {
            conversation.sent += UInt64(count)
        } else {
            drop(conversation, .reset)
        }
    }

    private func received(_ conversation: Conversation, _ bytes: ArraySlice<UInt8>) {
        watch(conversation)
        conversation.heardAt = now()
        if Pattern.mismatch(bytes, from: conversation.received) != nil { corrupted += 1 }
        conversation.received += UInt64(bytes.count)
        if conversation.received == conversation.sent {
            messages += 1
            conversation.resumeAt = now() + pause
        }
    }

    private func drop(_ conversation: Conversation, _ ending: Ending) {
        endings[ending.rawValue, default: 0] += 1
        poller.remove(conversation.socket.descriptor)
        conversation.socket.close()
        conversations[conversation.socket.descriptor] = nil
    }

    private func readInput() {
        var byte: [UInt8] = [0]
        if unsafe read(0, &byte, 1) <= 0 { inputEnded = true }
    }
}
