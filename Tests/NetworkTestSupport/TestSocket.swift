package import Foundation
import Glibc

/// A TCP socket on loopback, blocking, for tests.
package final class TestSocket: Sendable {
    package let descriptor: Int32

    package init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Listens on 127.0.0.1; port 0 lets the system choose.
    package static func listening(port: UInt16 = 0) throws -> TestSocket {
        let socket = try reserved(port: port)
        try check(listen(socket.descriptor, 64))
        return socket
    }

    /// Holds a port of 127.0.0.1 that refuses, and which nobody else is given; a listener may still take it.
    package static func reserved(port: UInt16 = 0) throws -> TestSocket {
        let socket = TestSocket(descriptor: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var one: Int32 = 1
        unsafe setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        try check(unsafe withAddress(port) { unsafe bind(socket.descriptor, $0, $1) })
        return socket
    }

    package static func connected(port: UInt16) throws -> TestSocket {
        let socket = TestSocket(descriptor: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        try check(unsafe withAddress(port) { unsafe connect(socket.descriptor, $0, $1) })
        return socket
    }

    package var port: UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// The next client; nil when the listener was shut down.
    package func accept() -> TestSocket? {
        let client = Glibc.accept(descriptor, nil, nil)
        return client < 0 ? nil : TestSocket(descriptor: client)
    }

    /// Nil at the end or after an error.
    package func read(upTo limit: Int = 65_536) -> Data? {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = unsafe recv(descriptor, &buffer, limit, 0)
        return count > 0 ? Data(buffer[..<count]) : nil
    }

    /// False when the other side is gone.
    package func write(_ data: Data) -> Bool {
        var rest = data
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { bytes in
                unsafe send(
                    descriptor,
                    bytes.baseAddress,
                    bytes.count,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    package func write(_ text: String) -> Bool { write(Data(text.utf8)) }

    /// Ends both directions; blocked calls return.
    package func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Makes the coming close a reset.
    package func resetOnClose() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &linger,
            socklen_t(MemoryLayout<linger>.size)
        )
    }

    private static func check(_ result: Int32) throws {
        guard result >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EINVAL) }
    }

    private static func withAddress(
        _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
