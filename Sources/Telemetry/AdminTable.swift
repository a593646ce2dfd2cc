import CLinux
import Glibc

/// The open connections of an `AdminListener`; used on its thread only.
struct AdminTable {
    /// How a request is answered.
    enum Answer {
        case done([UInt8])
        case later(Task<Void, Never>)
    }

    typealias Work = (_ connection: UInt64, _ request: AdminRequest) -> Answer

    /// What a listener takes beside plain GETs.
    struct Manner: Sendable {
        /// What a POST may bring; nil: none is taken.
        var bodyLimit: Int?
        /// Makes what is between a connection and its requests; nil: nothing.
        var channel: (@Sendable () -> SecureChannel?)?
        /// How long an answer may take.
        var workingTime: Duration = .seconds(60)
    }

    private enum Phase {
        case reading(RequestHead)
        /// With the size of the request.
        case working(Task<Void, Never>, held: Int)
        case writing([UInt8], sent: Int)
    }

    private struct Connection {
        let descriptor: Int32
        let caller: Caller
        var channel: SecureChannel?
        var phase: Phase
        var deadline: ContinuousClock.Instant
    }

    /// Where a connection comes from.
    private struct Caller: Hashable {
        var words: [UInt32] = []
    }

    private let listener: Int32
    private let manner: Manner
    private var connections: [UInt64: Connection] = [:]
    private var nextNumber: UInt64 = 0
    /// Who was ready after the last `wait`.
    private var ready: [UInt64: Int16] = [:]
    private var hasCallers = false
    /// No descriptor was left: callers wait until then.
    private var acceptAgain = ContinuousClock.now

    private static let limit = 128
    /// What all requests that are not answered may hold.
    private static let memory = 16 * 1024 * 1024
    private static let readingTime: Duration = .seconds(5)
    private static let writingTime: Duration = .seconds(10)

    init(listener: Int32, manner: Manner) {
        self.listener = listener
        self.manner = manner
    }

    /// Sleeps until a socket is ready, a deadline has passed, or `alarm` is readable.
    mutating func wait(alarm: Int32) {
        let now = ContinuousClock.now
        let isAccepting = now >= acceptAgain
        let numbers = Array(connections.keys)
        var watched = [pollfd(fd: alarm, events: Int16(POLLIN), revents: 0)]
        // A negative descriptor is passed over.
        watched.append(
            pollfd(fd: isAccepting ? listener : -1, events: Int16(POLLIN), revents: 0)
        )
        for number in numbers {
            guard let connection = connections[number] else { continue }
            let events: Int16 =
                switch connection.phase {
                case .reading: Int16(POLLIN)
                // Nobody waits any more.
                case .working: clinux_poll_ended
                case .writing: Int16(POLLOUT)
                }
            watched.append(pollfd(fd: connection.descriptor, events: events, revents: 0))
        }
        let deadlines = connections.values.map(\.deadline) + (isAccepting ? [] : [acceptAgain])
        unsafe poll(&watched, nfds_t(watched.count), Self.milliseconds(now, deadlines.min()))
        hasCallers = watched[1].revents != 0
        ready = [:]
        for (number, entry) in zip(numbers, watched.dropFirst(2)) where entry.revents != 0 {
            ready[number] = entry.revents
        }
    }

    /// Rounded up, so that a deadline has passed when the wait ends.
    private static func milliseconds(
        _ now: ContinuousClock.Instant,
        _ deadline: ContinuousClock.Instant?
    ) -> Int32 {
        guard let deadline else { return -1 }
        let rest = (deadline - now) / .milliseconds(1)
        return Int32(max(0, min(rest.rounded(.up), 3_600_000)))
    }

    /// Moves every connection that can be moved; `work` starts to answer a request.
    mutating func turn(_ work: Work) {
        for number in ready.keys {
            switch connections[number]?.phase {
            case .reading(let head): read(number, head, work)
            case .working: end(number)
            case .writing: write(number)
            case nil: break
            }
        }
        let now = ContinuousClock.now
        for (number, connection) in connections where connection.deadline <= now { end(number) }
        if hasCallers { accept() }
    }

    /// Sends the answer and ends the connection, unless it has ended already.
    mutating func answer(_ number: UInt64, _ bytes: [UInt8]) {
        guard connections[number] != nil else { return }
        let sealed = connections[number]?.channel?.seal(bytes) ?? bytes
        connections[number]?.phase = .writing(sealed, sent: 0)
        connections[number]?.deadline = .now + Self.writingTime
        write(number)
    }

    mutating func closeAll() {
        for number in connections.keys { end(number) }
    }

    private mutating func accept() {
        while true {
            let (descriptor, caller) = nextCaller()
            guard descriptor >= 0 else {
                // Out of descriptors or memory: others have to end first.
                if errno != EAGAIN, errno != EINTR, errno != ECONNABORTED {
                    acceptAgain = .now + .seconds(1)
                }
                return
            }
            guard makeRoom() else {
                close(descriptor)
                continue
            }
            let channel = manner.channel?()
            guard manner.channel == nil || channel != nil else {
                close(descriptor)
                continue
            }
            nextNumber += 1
            connections[nextNumber] = Connection(
                descriptor: descriptor,
                caller: caller,
                channel: channel,
                phase: .reading(RequestHead(bodyLimit: manner.bodyLimit)),
                deadline: .now + Self.readingTime
            )
        }
    }

    private func nextCaller() -> (descriptor: Int32, caller: Caller) {
        var address = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let descriptor = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe clinux_accept(listener, $0, &size)
            }
        }
        // An address of IPv4 stands where IPv6 has what is 0 here.
        guard address.sin6_family == sa_family_t(AF_INET6) else {
            return (descriptor, Caller(words: [address.sin6_flowinfo]))
        }
        let words = unsafe address.sin6_addr.__in6_u.__u6_addr32
        return (descriptor, Caller(words: [words.0, words.1, words.2, words.3]))
    }

    /// Of the caller with the most connections the one that has been silent for longest makes room for the next: whoever opens many pushes
    /// out his own.
    private mutating func makeRoom() -> Bool {
        guard connections.count >= Self.limit else { return true }
        let silent = connections.filter {
            if case .reading = $0.value.phase { true } else { false }
        }
        let callers = Dictionary(grouping: silent.keys) { silent[$0]?.caller ?? Caller() }
        let longest = callers.values.compactMap { numbers in
            numbers.min().map { (count: numbers.count, oldest: $0) }
        }
        let chosen = longest.max { ($0.count, $1.oldest) < ($1.count, $0.oldest) }
        guard let chosen else { return false }
        end(chosen.oldest)
        return true
    }

    private mutating func read(_ number: UInt64, _ head: RequestHead, _ work: Work) {
        guard let descriptor = connections[number]?.descriptor else { return }
        var head = head
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else {
            if count == 0 || (errno != EAGAIN && errno != EINTR) { end(number) }
            return
        }
        var bytes = buffer[..<count]
        if let channel = connections[number]?.channel {
            guard let plain = open(bytes, channel, descriptor) else { return end(number) }
            guard !plain.isEmpty else { return }
            bytes = plain[...]
        }
        guard hasMemory(for: bytes.count) else {
            return answer(number, AdminResponse.text("busy\n", status: 503).encoded())
        }
        switch head.append(bytes) {
        case .incomplete: connections[number]?.phase = .reading(head)
        case .request(let request):
            switch work(number, request) {
            case .done(let bytes): answer(number, bytes)
            case .later(let task):
                let (held, limit) = (request.body?.count ?? 0, manner.workingTime)
                connections[number]?.phase = .working(task, held: held)
                connections[number]?.deadline = .now + limit
            }
        case .refused(let status, let reason):
            answer(number, AdminResponse.text(reason, status: status).encoded())
        }
    }

    /// The plaintext of what came; nil when the connection is of no use.
    private func open(
        _ bytes: ArraySlice<UInt8>,
        _ channel: SecureChannel,
        _ descriptor: Int32
    ) -> [UInt8]? {
        let opened = channel.open(bytes)
        if !opened.reply.isEmpty {
            // A socket that does not take the few bytes of a handshake at once is nobody's who waits for an answer.
            let sent = unsafe send(
                descriptor,
                opened.reply,
                opened.reply.count,
                Int32(MSG_NOSIGNAL)
            )
            guard sent == opened.reply.count else { return nil }
        }
        return opened.isOver ? nil : opened.plaintext
    }

    private func hasMemory(for count: Int) -> Bool {
        guard manner.bodyLimit != nil else { return true }
        let held = connections.values.reduce(0) { sum, connection in
            switch connection.phase {
            case .reading(let head): sum + head.count
            case .working(_, let held): sum + held
            case .writing: sum
            }
        }
        return held + count <= Self.memory
    }

    private mutating func write(_ number: UInt64) {
        guard let connection = connections[number],
            case .writing(let bytes, var sent) = connection.phase
        else { return }
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent...])
                return unsafe send(
                    connection.descriptor,
                    rest.baseAddress,
                    rest.count,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else {
                if errno != EAGAIN, errno != EINTR { return end(number) }
                connections[number]?.phase = .writing(bytes, sent: sent)
                return
            }
            sent += count
        }
        end(number)
    }

    private mutating func end(_ number: UInt64) {
        guard let connection = connections.removeValue(forKey: number) else { return }
        if case .working(let task, _) = connection.phase { task.cancel() }
        close(connection.descriptor)
    }
}
