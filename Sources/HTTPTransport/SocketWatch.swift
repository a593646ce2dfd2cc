import CLibcurl
import Glibc

/// The sockets that one multi handle has open; made and used on the loop's thread only.
///
/// curl does not say which socket a running transfer uses, but it tells of each that it opens and closes.
@safe final class SocketWatch {
    /// For curl, for as long as this object lives.
    let pointer: UnsafeMutablePointer<clibcurl_socket_watch>
    private var sockets: Set<Int32> = []

    /// Unacknowledged bytes and unanswered probes end a connection after this time.
    private static let userTimeoutMilliseconds = 10_000

    init() {
        unsafe pointer = .allocate(capacity: 1)
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe pointer.initialize(
            to: clibcurl_socket_watch(
                opened: { context, socket in
                    unsafe SocketWatch.of(context)?.sockets.insert(socket)
                },
                closed: { context, socket in
                    unsafe SocketWatch.of(context)?.sockets.remove(socket)
                },
                context: context,
                user_timeout_ms: Self.userTimeoutMilliseconds
            )
        )
    }

    deinit { unsafe pointer.deallocate() }

    private static func of(_ context: UnsafeMutableRawPointer?) -> SocketWatch? {
        guard let context = unsafe context else { return nil }
        return unsafe Unmanaged<SocketWatch>.fromOpaque(context).takeUnretainedValue()
    }

    /// Ends the connections on which nothing at all came for `silence`; curl finds them closed.
    ///
    /// A connection that many share outlives its transfers, and one whose peer is frozen would be given to all later
    /// ones. Connections that are merely idle go as well, which costs a handshake.
    func shutDownSilent(for silence: Duration) {
        let (seconds, attoseconds) = silence.components
        let limit = Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
        for socket in sockets where clibcurl_silence_ms(socket) >= limit {
            shutdown(socket, Int32(SHUT_RDWR))
        }
    }
}
