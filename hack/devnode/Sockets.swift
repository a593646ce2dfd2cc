import CLinux
import Glibc

/// Blocking sockets for the few places where devnode talks to the network itself.
///
/// A socket belongs for good to the network namespace of the thread that makes it.
enum Sockets {
    private static func make(
        _ type: __socket_type,
        for address: String
    ) throws(SystemError) -> Int32 {
        try SystemError.checkErrno(
            socket(family(address), Int32(bitPattern: type.rawValue | SOCK_CLOEXEC.rawValue), 0),
            "make a socket"
        )
    }

    static func listen(
        _ type: __socket_type,
        address: String,
        port: UInt16
    ) throws(SystemError) -> Int32 {
        let descriptor = try make(type, for: address)
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        let bound = unsafe withAddress(address, port) { unsafe bind(descriptor, $0, $1) }
        try SystemError.checkErrno(bound, "bind \(address):\(port)")
        if type == SOCK_STREAM {
            try SystemError.checkErrno(
                Glibc.listen(descriptor, 1024),
                "listen on \(address):\(port)"
            )
        }
        return descriptor
    }

    /// Connects within a time; the socket keeps the time as its limit for each read and write.
    static func connect(
        address: String,
        port: UInt16,
        timeout: Duration?
    ) throws(SystemError) -> Int32 {
        let descriptor = try make(SOCK_STREAM, for: address)
        if let timeout {
            setTime(descriptor, SO_SNDTIMEO, timeout)
            setTime(descriptor, SO_RCVTIMEO, timeout)
        }
        let result = unsafe withAddress(address, port) { unsafe Glibc.connect(descriptor, $0, $1) }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw SystemError(operation: "connect to \(address):\(port)", code: code)
        }
        return descriptor
    }

    /// Makes closing the socket a reset.
    static func resetOnClose(_ descriptor: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &value,
            socklen_t(MemoryLayout<linger>.size)
        )
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func setTime(_ descriptor: Int32, _ option: Int32, _ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        var value = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        unsafe setsockopt(
            descriptor,
            SOL_SOCKET,
            option,
            &value,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    private static func withAddress(
        _ address: String,
        _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        if family(address) == AF_INET6 {
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            let parsed = unsafe inet_pton(AF_INET6, address, &value.sin6_addr)
            return parsed == 1 ? unsafe passing(value, to: body) : invalid()
        }
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        let parsed = unsafe inet_pton(AF_INET, address, &value.sin_addr)
        return parsed == 1 ? unsafe passing(value, to: body) : invalid()
    }

    private static func passing<Address>(
        _ value: Address,
        to body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        unsafe withUnsafePointer(to: value) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }

    private static func invalid() -> Int32 {
        errno = EINVAL
        return -1
    }

    private static func family(_ address: String) -> Int32 {
        address.contains(":") ? AF_INET6 : AF_INET
    }

    /// Sends all bytes; false when the other side is gone or too slow.
    static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(
                    descriptor,
                    $0.baseAddress?.advanced(by: sent),
                    bytes.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Receives up to `limit` bytes; empty at the end, nil on an error.
    static func receive(from descriptor: Int32, limit: Int) -> [UInt8]? {
        while true {
            var count = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
                count = unsafe recv(descriptor, buffer.baseAddress, limit, 0)
                filled = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            return count < 0 ? nil : bytes
        }
    }

    /// Receives exactly `count` bytes; nil when the stream ends before.
    static func receive(exactly count: Int, from descriptor: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let part = receive(from: descriptor, limit: count - bytes.count), !part.isEmpty
            else { return nil }
            bytes += part
        }
        return bytes
    }
}
