import CLinux
import Glibc

@testable import Proxy

/// A blocking socket for a test's thread: the plain client or server of a relay.
final class BlockingSocket: Sendable {
    let number: Int32
    private let isClosed = Shared(false)

    init(owning number: Int32) { self.number = number }

    deinit { close() }

    func close() {
        guard !isClosed.value else { return }
        isClosed.update { $0 = true }
        _ = Glibc.close(number)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// A listening socket at a free port.
    static func listening(shared: Bool = false) -> (BlockingSocket, UInt16) {
        let listener = BlockingSocket(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        if shared {
            var on: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            unsafe setsockopt(listener.number, SOL_SOCKET, SO_REUSEPORT, &on, size)
        }
        var address = loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe (
                    bind(listener.number, $0, size), getsockname(listener.number, $0, &size)
                )
            }
        }
        listen(listener.number, 16)
        return (listener, UInt16(bigEndian: address.sin_port))
    }

    /// Whether a socket that does not share could listen there.
    static func isFree(_ port: UInt16) -> Bool {
        let probe = BlockingSocket(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var on: Int32 = 1
        unsafe setsockopt(
            probe.number,
            SOL_SOCKET,
            SO_REUSEADDR,
            &on,
            socklen_t(MemoryLayout<Int32>.size)
        )
        var address = loopback(port)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(probe.number, $0, size) == 0 && listen(probe.number, 1) == 0
            }
        }
    }

    static func connected(to port: UInt16) -> BlockingSocket? {
        let client = BlockingSocket(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = loopback(port)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(client.number, $0, size)
            }
        }
        return status == 0 ? client : nil
    }

    /// Two connected ends over loopback TCP; the far one is a bare descriptor to give away.
    static func pair() -> (near: BlockingSocket, far: Int32) {
        let (listener, port) = listening()
        guard let near = connected(to: port) else { preconditionFailure("no loopback") }
        return (near, accept(listener.number, nil, nil))
    }

    /// Gives up after two seconds without a byte.
    func limitReading() {
        var time = timeval(tv_sec: 2, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    }

    enum ReadEnd: Equatable { case endOfFile, reset, timeout, other(Int32) }

    /// Everything until the end, and how it ended.
    func readAll(limit: Int = .max) -> (bytes: [UInt8], end: ReadEnd?) {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while all.count < limit {
            let count = unsafe recv(number, &buffer, min(buffer.count, limit - all.count), 0)
            if count > 0 {
                all += buffer.prefix(count)
                continue
            }
            if count == 0 { return (all, .endOfFile) }
            switch errno {
            case ECONNRESET: return (all, .reset)
            case EAGAIN: return (all, .timeout)
            default: return (all, .other(errno))
            }
        }
        return (all, nil)
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

    func end() { shutdown(number, Int32(SHUT_WR)) }

    /// Closes with a RST.
    func reset() {
        var value = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        unsafe setsockopt(number, SOL_SOCKET, SO_LINGER, &value, size)
        close()
    }
}
