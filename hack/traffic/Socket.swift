import CLinux
import Glibc

/// A failed system call with what it was for.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    init(_ call: String, _ code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    var description: String { unsafe "\(call): \(String(cString: strerror(code)))" }
}

/// An address and port, resolved once; of several addresses the first one.
struct SocketAddress {
    private let storage: sockaddr_storage
    private let size: socklen_t

    init(_ text: String) throws {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { throw SystemError("\(text) is not HOST:PORT", EINVAL) }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard unsafe getaddrinfo(String(host), "\(port)", &hints, &list) == 0,
            let first = unsafe list, let raw = unsafe first.pointee.ai_addr
        else { throw SystemError("cannot resolve \(host)", ENOENT) }
        defer { unsafe freeaddrinfo(first) }
        let size = unsafe first.pointee.ai_addrlen
        var storage = sockaddr_storage()
        unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(size)))
        }
        (self.storage, self.size) = (storage, size)
    }

    fileprivate var family: Int32 { Int32(storage.ss_family) }

    fileprivate func withPointer<T>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
        var copy = storage
        return unsafe withUnsafePointer(to: &copy) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, size)
            }
        }
    }
}

/// What a read or write came to.
enum Transferred {
    case bytes(Int)
    case wouldBlock
    /// The other side sent FIN.
    case end
    /// The other side sent RST, or the connection broke otherwise.
    case broken(Int32)
}

/// A TCP socket, non-blocking unless said otherwise.
///
/// Closing is the owner's job.
struct Socket {
    let descriptor: Int32

    static func listen(on address: SocketAddress) throws -> Socket {
        let socket = try make(address.family, nonBlocking: true)
        socket.set(SOL_SOCKET, SO_REUSEADDR, 1)
        // At `[::]` it is IPv4 addresses too, whatever the system's default.
        if address.family == AF_INET6 { socket.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        guard unsafe address.withPointer({ unsafe bind(socket.descriptor, $0, $1) }) == 0 else {
            throw SystemError("bind")
        }
        guard Glibc.listen(socket.descriptor, 4096) == 0 else { throw SystemError("listen") }
        return socket
    }

    static func connect(to address: SocketAddress, nonBlocking: Bool = true) throws -> Socket {
        let socket = try make(address.family, nonBlocking: nonBlocking)
        socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let result = unsafe address.withPointer { unsafe Glibc.connect(socket.descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else {
            let error = SystemError("connect")
            socket.close()
            throw error
        }
        return socket
    }

    private static func make(_ family: Int32, nonBlocking: Bool) throws -> Socket {
        let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let extra = nonBlocking ? Int32(SOCK_NONBLOCK.rawValue) : 0
        let descriptor = socket(family, flags | extra, 0)
        guard descriptor >= 0 else { throw SystemError("socket") }
        return Socket(descriptor: descriptor)
    }

    /// The next connection, or nil when none waits.
    func accept() -> Socket? {
        let accepted = Glibc.accept(descriptor, nil, nil)
        guard accepted >= 0 else { return nil }
        _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
        let socket = Socket(descriptor: accepted)
        socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return socket
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The pending error of the socket: 0 once a connect has succeeded.
    var pendingError: Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code
    }

    func read(into buffer: inout [UInt8]) -> Transferred {
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count)
        }
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        return errno == EAGAIN ? .wouldBlock : .broken(errno)
    }

    func write(_ bytes: ArraySlice<UInt8>) -> Transferred {
        let count = unsafe bytes.withUnsafeBytes { bytes in
            unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        }
        if count >= 0 { return .bytes(count) }
        return errno == EAGAIN ? .wouldBlock : .broken(errno)
    }

    func finish() { _ = shutdown(descriptor, Int32(SHUT_WR)) }
    func close() { _ = Glibc.close(descriptor) }
}

/// A level-triggered epoll set that answers which descriptors are ready.
final class Poller {
    private let descriptor: Int32

    init() throws {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw SystemError("epoll_create1") }
    }

    struct Interest: OptionSet {
        let rawValue: UInt32
        static let read = Interest(rawValue: EPOLLIN.rawValue)
        static let write = Interest(rawValue: EPOLLOUT.rawValue)
    }

    func add(_ fd: Int32, _ interest: Interest) { control(EPOLL_CTL_ADD, fd, interest) }
    func change(_ fd: Int32, _ interest: Interest) { control(EPOLL_CTL_MOD, fd, interest) }
    func remove(_ fd: Int32) { control(EPOLL_CTL_DEL, fd, []) }

    private func control(_ operation: Int32, _ fd: Int32, _ interest: Interest) {
        var event = unsafe epoll_event()
        unsafe event.events = interest.rawValue
        unsafe event.data.fd = fd
        unsafe epoll_ctl(descriptor, operation, fd, &event)
    }

    /// Waits at most `seconds` (nil: for ever) and returns the descriptors on which something happened.
    func wait(seconds: Double?) -> [Int32] {
        var events = unsafe Array(repeating: epoll_event(), count: 256)
        let milliseconds = seconds.map { Int32(max(0, min($0 * 1000, 60_000)).rounded(.up)) } ?? -1
        let count = unsafe epoll_wait(descriptor, &events, 256, milliseconds)
        return unsafe events.prefix(Int(max(count, 0))).map { unsafe $0.data.fd }
    }
}

/// SIGTERM as a descriptor that becomes readable.
///
/// The first process of a container ignores signals that it does not handle.
struct TerminationSignal {
    let descriptor: Int32

    init() throws {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigprocmask(SIG_BLOCK, &set, nil)
        descriptor = unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC))
        guard descriptor >= 0 else { throw SystemError("signalfd") }
    }
}

/// Seconds on the monotonic clock.
func now() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Prints one line and flushes it, since a test reads it from a pipe.
func emit(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
}
