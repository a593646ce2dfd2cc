import CLinux
import Dispatch
import Glibc
import Synchronization

/// Accepts connections, reads one request from each, and writes the answer that a task worked out.
///
/// One thread in `poll`; what is open at once and how long it may take are bounded.
final class AdminListener: Sendable {
    typealias Handler = @Sendable (AdminRequest) async -> AdminResponse
    /// What needs no task; it must not block.
    typealias QuickHandler = @Sendable (AdminRequest) -> AdminResponse?
    /// Where a request is answered; nil: anywhere.
    typealias Placement = @Sendable (AdminRequest) -> (any TaskExecutor)?

    /// The port that it listens on.
    let port: UInt16
    private let listener: Int32
    private let alarm: Int32
    private let quick: QuickHandler
    private let handler: Handler
    private let executor: Placement
    private let manner: AdminTable.Manner
    private let inbox = Mutex(Inbox())

    private struct Inbox {
        var answers: [(connection: UInt64, bytes: [UInt8])] = []
        var isStopping = false
        /// The descriptors are gone: nobody may wake the thread.
        var isClosed = false
    }

    /// - Throws: when the address cannot be bound.
    init(
        host: String,
        port: UInt16,
        executor: @escaping Placement = { _ in nil },
        manner: AdminTable.Manner = AdminTable.Manner(),
        quick: @escaping QuickHandler,
        handler: @escaping Handler
    ) throws(AdminServerError) {
        var listener = Self.listen(host, port)
        if listener < 0, host == "::", errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL {
            // The kernel has no IPv6.
            listener = Self.listen("0.0.0.0", port)
        }
        guard listener >= 0 else {
            let place = host.contains(":") ? "[\(host)]" : host
            let reason = unsafe String(cString: strerror(errno))
            throw AdminServerError(description: "cannot listen on \(place):\(port): \(reason)")
        }
        self.listener = listener
        self.port = Self.port(of: listener)
        self.quick = quick
        self.handler = handler
        self.executor = executor
        self.manner = manner
        alarm = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }

    /// Serves until `stop`.
    func run() async {
        await withCheckedContinuation { continuation in
            // A queue of its own, because it blocks.
            DispatchQueue(label: "tieline.admin")
                .async { [self] in
                    var table = AdminTable(listener: listener, manner: manner)
                    while serve(&table) {}
                    table.closeAll()
                    inbox.withLock { $0.isClosed = true }
                    close(listener)
                    close(alarm)
                    continuation.resume()
                }
        }
    }

    func stop() { wake { $0.isStopping = true } }

    private func wake(_ change: (inout Inbox) -> Void) {
        inbox.withLock { inbox in
            change(&inbox)
            if !inbox.isClosed { eventfd_write(alarm, 1) }
        }
    }

    /// One turn; false when it was the last.
    private func serve(_ table: inout AdminTable) -> Bool {
        table.wait(alarm: alarm)
        var count: eventfd_t = 0
        unsafe eventfd_read(alarm, &count)
        let (answers, isStopping) = inbox.withLock { inbox in
            defer { inbox.answers = [] }
            return (inbox.answers, inbox.isStopping)
        }
        guard !isStopping else { return false }
        for answer in answers { table.answer(answer.connection, answer.bytes) }
        table.turn { connection, request in
            if let response = quick(request) { return .done(response.encoded(for: request)) }
            return .later(
                Task(executorPreference: executor(request)) { [self] in
                    guard !Task.isCancelled else { return }
                    let bytes = await handler(request).encoded(for: request)
                    wake { $0.answers.append((connection, bytes)) }
                }
            )
        }
        return true
    }

    // MARK: Sockets

    private static func listen(_ host: String, _ port: UInt16) -> Int32 {
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, "\(port)", &hints, &found) == 0, let info = unsafe found
        else {
            errno = EADDRNOTAVAIL
            return -1
        }
        defer { unsafe freeaddrinfo(info) }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let listener = unsafe socket(info.pointee.ai_family, type, 0)
        guard listener >= 0 else { return -1 }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        unsafe setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if unsafe info.pointee.ai_family == AF_INET6 {
            // Every address is every address; one of IPv6 is that one only.
            var only: Int32 = host == "::" ? 0 : 1
            unsafe setsockopt(listener, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, size)
        }
        guard unsafe bind(listener, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0,
            Glibc.listen(listener, 64) == 0
        else {
            let error = errno
            close(listener)
            errno = error
            return -1
        }
        return listener
    }

    private static func port(of listener: Int32) -> UInt16 {
        var address = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe getsockname(listener, $0, &size)
            }
        }
        // At the same place in both families.
        return UInt16(bigEndian: address.sin6_port)
    }
}
