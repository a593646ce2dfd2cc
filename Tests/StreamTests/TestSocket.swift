import Glibc
import Synchronization
import TestSupport

/// A blocking TCP socket on loopback: a plain client or server.
final class TestSocket: Sendable {
    enum End: Equatable { case endOfFile, reset, timeout, failed(Int32) }

    private let number: Int32
    private let isOpen = Atomic(true)

    init(_ number: Int32) {
        self.number = number
        var time = timeval(tv_sec: 50, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    }

    deinit { close() }

    func close() {
        if isOpen.exchange(false, ordering: .relaxed) { _ = Glibc.close(number) }
    }

    /// Closes with a RST.
    func reset() {
        var value = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        unsafe setsockopt(number, SOL_SOCKET, SO_LINGER, &value, size)
        close()
    }

    /// Is gone from now on without a word: nothing that comes is acknowledged, as after a power cut.
    func vanish() {
        // sock_fprog with one BPF instruction, `ret #0`: every segment is dropped.
        unsafe withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { memory in
            unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
            let code = unsafe memory.baseAddress.map { unsafe $0 + 16 }
            unsafe memory.storeBytes(of: 1, as: UInt16.self)
            unsafe memory.storeBytes(of: UInt(bitPattern: code), toByteOffset: 8, as: UInt.self)
            unsafe memory.storeBytes(of: 0x06, toByteOffset: 16, as: UInt16.self)
            let attachFilter: Int32 = 26
            let status = unsafe setsockopt(number, SOL_SOCKET, attachFilter, memory.baseAddress, 16)
            precondition(status == 0, "no filter: \(errno)")
        }
    }

    func finishWriting() { shutdown(number, Int32(SHUT_WR)) }

    /// Ends a blocked `accept`.
    func wake() { shutdown(number, Int32(SHUT_RDWR)) }

    private static func withAddress<Result>(
        _ port: UInt16,
        _ body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Result
    ) -> (Result, UInt16) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, &size)
            }
        }
        return (result, UInt16(bigEndian: address.sin_port))
    }

    var localPort: UInt16 {
        let number = number
        return unsafe Self.withAddress(0) { unsafe getsockname(number, $0, &$1) }.1
    }

    static func listening(backlog: Int32 = 1024) -> (socket: TestSocket, port: UInt16) {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let (status, port) = unsafe withAddress(0) { address, size in
            unsafe bind(number, address, size) | getsockname(number, address, &size)
        }
        precondition(status == 0 && listen(number, backlog) == 0, "no listener")
        return (TestSocket(number), port)
    }

    /// With `buffering`, its kernel takes no more than that before it is read.
    static func connected(to port: UInt16, buffering: Int32? = nil) -> TestSocket? {
        let client = TestSocket(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        if var buffering {
            let size = socklen_t(MemoryLayout<Int32>.size)
            unsafe setsockopt(client.number, SOL_SOCKET, SO_RCVBUF, &buffering, size)
        }
        let (status, _) = unsafe withAddress(port) { address, size in
            unsafe connect(client.number, address, size)
        }
        return status == 0 ? client : nil
    }

    /// A port where nobody listens.
    static func deadPort() -> UInt16 {
        let (socket, port) = listening()
        socket.close()
        return port
    }

    func accept() -> TestSocket? {
        let client = Glibc.accept(number, nil, nil)
        return client < 0 ? nil : TestSocket(client)
    }

    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                let left = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
                return unsafe send(number, left.baseAddress, left.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }

    /// Writes the pattern of `count` bytes.
    func writePattern(_ count: UInt64) -> Bool {
        var offset: UInt64 = 0
        while offset < count {
            let next = min(offset + 65_536, count)
            guard write(Pattern.bytes(offset..<next)) else { return false }
            offset = next
        }
        return true
    }

    /// Reads until the end, or `limit` bytes.
    func read(limit: Int = .max) -> (bytes: [UInt8], end: End?) {
        var all: [UInt8] = []
        let end = consume(limit: limit) { all += $0 }
        return (all, end)
    }

    /// Reads the pattern until the end, or `limit` bytes; how many bytes were right, and whether all were.
    ///
    /// `start` bytes of it were read before.
    func readPattern(
        from start: UInt64 = 0,
        limit: Int = .max
    ) -> (count: UInt64, isRight: Bool, end: End?) {
        var count = start
        var isRight = true
        let end = consume(limit: limit) { bytes in
            let next = count + UInt64(bytes.count)
            isRight = isRight && Array(bytes) == Pattern.bytes(count..<next)
            count = next
        }
        return (count, isRight, end)
    }

    private func consume(limit: Int, _ body: (ArraySlice<UInt8>) -> Void) -> End? {
        var buffer = [UInt8](repeating: 0, count: 262_144)
        var total = 0
        while total < limit {
            let count = unsafe recv(number, &buffer, min(buffer.count, limit - total), 0)
            if count > 0 {
                total += count
                body(buffer[..<count])
                continue
            }
            if count == 0 { return .endOfFile }
            switch errno {
            case ECONNRESET: return .reset
            case EAGAIN: return .timeout
            default: return .failed(errno)
            }
        }
        return nil
    }
}

/// A thread of a test that gives a value.
final class TestThread<Value: Sendable>: Sendable {
    private let result = Mutex<Value?>(nil)

    init(_ body: @escaping @Sendable () -> Value) {
        let box = unsafe Unmanaged.passRetained(
            Body { [self] in
                let value = body()
                result.withLock { $0 = value }
            }
        ).toOpaque()
        var number = pthread_t()
        let status = unsafe pthread_create(
            &number,
            nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            },
            box
        )
        precondition(status == 0, "no thread")
        pthread_detach(number)
    }

    /// Waits for the value; nil when it did not come within a minute.
    var value: Value? {
        _ = eventually(within: .seconds(60)) { result.withLock { $0 != nil } }
        return result.withLock { $0 }
    }
}

private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Accepts connections and serves each on a thread of its own.
final class TestServer: Sendable {
    let port: UInt16
    private let listener: TestSocket
    private let accepted = Atomic(0)
    private let served = Atomic(0)

    var acceptedCount: Int { accepted.load(ordering: .relaxed) }
    /// Connections that have not ended.
    var openCount: Int { acceptedCount - served.load(ordering: .relaxed) }

    init(_ serve: @escaping @Sendable (TestSocket) -> Void) {
        let (listener, port) = TestSocket.listening()
        self.listener = listener
        self.port = port
        _ = TestThread { [weak self] in
            while let client = listener.accept() {
                self?.accepted.wrappingAdd(1, ordering: .relaxed)
                _ = TestThread {
                    serve(client)
                    self?.served.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }
    }

    deinit { stop() }

    /// The port is free at once; whoever holds the socket last closes it, so that no thread accepts at another's number.
    func stop() { listener.wake() }

    /// Says its name, then echoes until the end.
    static func named(_ name: String) -> TestServer {
        TestServer { client in
            client.write(Array((name + "\n").utf8))
            while true {
                let (bytes, end) = client.read(limit: 1)
                guard end == nil, client.write(bytes) else { return }
            }
        }
    }
}

/// A value that comes later, from another thread.
final class Promise<Value: Sendable>: Sendable {
    private let box = Mutex<Value?>(nil)

    func fulfill(_ value: Value) { box.withLock { $0 = value } }

    /// Nil when it did not come in time.
    var value: Value? {
        _ = eventually { box.withLock { $0 != nil } }
        return box.withLock { $0 }
    }
}
