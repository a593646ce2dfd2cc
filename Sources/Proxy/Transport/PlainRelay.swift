/// Copies bytes between a client's and a server's socket of one loop until both directions have ended.
///
/// FIN, RST and half-close pass through as they are. Both sockets keep SO_LINGER {1, 0} until both FINs have passed.
package final class PlainRelay: EventHandler {
    package struct Timeouts: Sendable {
        /// Without a byte in either direction.
        package var idle: Duration
        /// Without a byte after one direction has ended.
        package var halfClosed: Duration

        package init(idle: Duration, halfClosed: Duration) {
            self.idle = idle
            self.halfClosed = halfClosed
        }
    }

    package enum End: Hashable, Sendable {
        /// Both FINs have passed.
        case finished
        case client(SystemError)
        case server(SystemError)
        case idle
        case halfClosed
        /// `abort()` was called.
        case aborted
    }

    package typealias Completion = (PlainRelay, End) -> Void

    /// Bytes that the client sent and that were written to the server.
    package private(set) var bytesToServer: UInt64 = 0
    package private(set) var bytesToClient: UInt64 = 0

    /// Takes over two connected sockets that are registered with no loop; `completion` comes once, never from within a call.
    package init(
        client: consuming FileDescriptor,
        server: consuming FileDescriptor,
        timeouts: Timeouts,
        on loop: EventLoop,
        completion: @escaping Completion
    ) {}

    /// Resets both sides.
    package func abort() {}

    /// Within `completion` of a relay that passed on neither a byte nor a FIN in either direction: the client's socket, to be
    /// given to another server; nil otherwise, and then the socket is closed as it has to be.
    package func reclaimClient() -> FileDescriptor? { nil }

    package func handle(_ events: ReadyEvents, on loop: EventLoop) {}
}
