import CLinux
import Glibc
import NetworkModel
import Streaming

/// TCP sockets: made non-blocking and close-on-exec, with the options that all of ours have.
extension FileDescriptor {
    /// A socket that listens at `port` of `address`; nil listens on every IPv6 and IPv4 address.
    ///
    /// With `isFirst` it fails when anybody has the port, else it joins the sockets of this process there: the kernel
    /// spreads connections over them (SO_REUSEPORT). What it accepts inherits the options of a relayed socket from it.
    static func listening(
        at address: IPAddress?,
        port: UInt16,
        isFirst: Bool,
        backlog: Int32 = 4096
    ) throws(SystemError) -> FileDescriptor {
        guard let address else {
            do {
                return try bound(to: .v6(0, 0), port, isFirst, isDual: true, backlog)
            } catch  where error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL {
                // The kernel has no IPv6.
                return try bound(to: .v4(0), port, isFirst, isDual: false, backlog)
            }
        }
        return try bound(to: address, port, isFirst, isDual: false, backlog)
    }

    private static func bound(
        to address: IPAddress,
        _ port: UInt16,
        _ isFirst: Bool,
        isDual: Bool,
        _ backlog: Int32
    ) throws(SystemError) -> FileDescriptor {
        let socket = try stream(for: address)
        try socket.set(SOL_SOCKET, SO_REUSEADDR, 1)
        if !isFirst { try socket.set(SOL_SOCKET, SO_REUSEPORT, 1) }
        try socket.setRelayOptions()
        if case .v6 = address { try socket.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, isDual ? 0 : 1) }
        let target = SocketAddress(Endpoint(address: address, port: port))
        let number = socket.number
        let status = unsafe target.withPointer { unsafe bind(number, $0, $1) }
        guard status == 0 else { throw .last("bind") }
        guard listen(socket.number, backlog) == 0 else { throw .last("listen") }
        // The first one lets the others in only when it listens: a socket that is merely bound with SO_REUSEADDR would
        // not keep another process out.
        if isFirst { try socket.set(SOL_SOCKET, SO_REUSEPORT, 1) }
        return socket
    }

    /// A socket on its way to `endpoint`: writable when connected, or failed with `takeError()`.
    ///
    /// Of the options of a relayed socket it has SO_LINGER {1, 0} only (`LateOptions`).
    static func connecting(to endpoint: Endpoint) throws(SystemError) -> FileDescriptor {
        let socket = try stream(for: endpoint.address)
        try socket.setAbortive(true)
        let target = SocketAddress(endpoint)
        let number = socket.number
        let status = unsafe target.withPointer { unsafe connect(number, $0, $1) }
        guard status == 0 || errno == EINPROGRESS else { throw .last("connect") }
        return socket
    }

    private static func stream(for address: IPAddress) throws(SystemError) -> FileDescriptor {
        let family =
            switch address {
            case .v4: AF_INET
            case .v6: AF_INET6
            }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        guard DescriptorBudget.hasRoomForSocket else { throw SystemError("socket", code: EMFILE) }
        let number = socket(family, kind, 0)
        guard number >= 0 else { throw .last("socket") }
        return FileDescriptor(owning: number)
    }

    /// The next connection of a listening socket, with the address of its other end in `remote`; nil when none waits.
    func accept(_ remote: inout SocketAddress) throws(SystemError) -> FileDescriptor? {
        guard DescriptorBudget.hasRoomForSocket else { throw SystemError("accept", code: EMFILE) }
        let listener = number
        let client = unsafe remote.withMutablePointer { unsafe clinux_accept(listener, $0, $1) }
        if client >= 0 { return FileDescriptor(owning: client) }
        switch errno {
        case EAGAIN: return nil
        default: throw .last("accept")
        }
    }

    /// TCP_NODELAY, keepalive and SO_LINGER {1, 0}: as every relayed socket has them.
    ///
    /// No TCP_USER_TIMEOUT: it ends connections whose reader has paused too, however alive it is (`PeerSilence` does not).
    func setRelayOptions() throws(SystemError) {
        try setNoDelay()
        try setKeepalive()
        try setAbortive(true)
    }

    /// Sends small writes at once.
    func setNoDelay() throws(SystemError) { try set(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    /// Probes a connection on which nothing is under way after 15 s, every 5 s, and gives up after 3 probes.
    func setKeepalive() throws(SystemError) {
        try set(SOL_SOCKET, SO_KEEPALIVE, 1)
        try set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        try set(Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        // Last: it sets the time of the next probe.
        try set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, 15)
    }

    /// Gives the connection up after so long without an acknowledgment, or with a window that stays closed.
    func setUserTimeout(_ time: Duration) throws(SystemError) {
        let milliseconds = Int32(clamping: time.wholeNanoseconds / 1_000_000)
        try set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds)
    }

    /// Bytes that were written and that the other end has not acknowledged, sent or not.
    var unacknowledgedCount: Int { max(0, Int(clinux_unacknowledged(number))) }

    /// What the kernel knows of the delivery of a lane's bytes; nil when the connection is gone.
    var deliverySample: DeliveryPace.Sample? {
        let unacknowledged = clinux_unacknowledged(number)
        var (least, most): (UInt32, UInt32) = (0, 0)
        guard unacknowledged >= 0, unsafe clinux_round_trip(number, &least, &most) == 0
        else { return nil }
        return DeliveryPace.Sample(
            unacknowledged: Int(unacknowledged),
            leastRoundTrip: least == .max ? nil : .microseconds(Int(least)),
            mostRoundTrip: most == .max ? nil : .microseconds(Int(most))
        )
    }

    /// For how long the other end has acknowledged nothing, neither bytes nor probes, of which at least three were sent;
    /// nil when it answers, however long ago that was.
    var silence: Duration? {
        var milliseconds: UInt32 = 0
        guard unsafe clinux_is_unanswered(number, &milliseconds) == 1 else { return nil }
        return .milliseconds(Int(milliseconds))
    }

    /// Lets the kernel hold only so much that was not sent yet (TCP_NOTSENT_LOWAT): what comes next stays short of delay.
    func limitUnsentBytes(to count: Int32) throws(SystemError) {
        try set(Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, count)
    }

    /// With true, closing resets the connection, whoever closes it: the kernel too, when the process dies.
    func setAbortive(_ isAbortive: Bool) throws(SystemError) {
        var value = linger(l_onoff: isAbortive ? 1 : 0, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        let status = unsafe setsockopt(number, SOL_SOCKET, SO_LINGER, &value, size)
        guard status == 0 else { throw .last("setsockopt") }
    }

    func set(_ level: Int32, _ option: Int32, _ value: Int32) throws(SystemError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        let status = unsafe setsockopt(number, level, option, &value, size)
        guard status == 0 else { throw .last("setsockopt") }
    }

    /// The error that the kernel holds for this socket, which this call clears; nil when there is none.
    func takeError(_ operation: String) -> SystemError? {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        let status = unsafe getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &size)
        guard status == 0 else { return .last(operation) }
        return code == 0 ? nil : SystemError(operation, code: code)
    }

    var localEndpoint: Endpoint? {
        var address = SocketAddress()
        let number = number
        let status = unsafe address.withMutablePointer { unsafe getsockname(number, $0, $1) }
        return status == 0 ? address.endpoint : nil
    }

    /// The other end; nil when the connection is gone.
    var remoteEndpoint: Endpoint? {
        var address = SocketAddress()
        let number = number
        let status = unsafe address.withMutablePointer { unsafe getpeername(number, $0, $1) }
        return status == 0 ? address.endpoint : nil
    }
}

/// Reading and writing.
extension FileDescriptor {
    /// Reads once.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
        var count: Int
        repeat {
            count = unsafe recv(number, buffer.baseAddress, buffer.count, 0)
        } while count < 0 && errno == EINTR
        if count > 0 { return .bytes(count) }
        return count == 0 ? .endOfFile : failure("read")
    }

    /// Writes once; SIGPIPE never comes.
    func write(_ buffer: UnsafeRawBufferPointer) -> IOResult {
        let flags = Int32(MSG_NOSIGNAL)
        var count: Int
        repeat {
            count = unsafe send(number, buffer.baseAddress, buffer.count, flags)
        } while count < 0 && errno == EINTR
        return count >= 0 ? .bytes(count) : failure("write")
    }

    /// Reads once, into both pieces.
    func read(into space: RingSpace) -> IOResult {
        let (first, second) = unsafe (space.first, space.second)
        guard unsafe !second.isEmpty else { return unsafe read(into: first) }
        let pieces: InlineArray<2, iovec> = unsafe [
            iovec(iov_base: first.baseAddress, iov_len: first.count),
            iovec(iov_base: second.baseAddress, iov_len: second.count),
        ]
        var count: Int
        repeat {
            count = unsafe pieces.span.withUnsafeBufferPointer {
                unsafe readv(number, $0.baseAddress, Int32($0.count))
            }
        } while count < 0 && errno == EINTR
        if count > 0 { return .bytes(count) }
        return count == 0 ? .endOfFile : failure("readv")
    }

    /// Reads once.
    func read(into span: inout MutableRawSpan) -> IOResult {
        unsafe span.withUnsafeMutableBytes { unsafe read(into: $0) }
    }

    /// Writes once; SIGPIPE never comes.
    func write(_ span: RawSpan) -> IOResult {
        unsafe span.withUnsafeBytes { unsafe write($0) }
    }

    /// Moves at most `count` bytes to `target`, of which one is a pipe, without a copy.
    ///
    /// `wouldBlock` comes from either of them. Writing to a socket raises SIGPIPE, which the threads of loops block.
    func splice(to target: borrowing FileDescriptor, atMost count: Int) -> IOResult {
        var moved: Int
        repeat {
            moved = clinux_splice(number, target.number, count)
        } while moved < 0 && errno == EINTR
        if moved > 0 { return .bytes(moved) }
        return moved == 0 ? .endOfFile : failure("splice")
    }

    /// Sends our FIN behind what was written.
    func shutdownWriting() throws(SystemError) {
        guard shutdown(number, Int32(SHUT_WR)) == 0 else { throw .last("shutdown") }
    }

    private func failure(_ operation: String) -> IOResult {
        let code = errno
        return code == EAGAIN ? .wouldBlock : .failed(SystemError(operation, code: code))
    }
}
