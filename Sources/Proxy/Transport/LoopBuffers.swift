/// The large buffers that all sockets of one loop share, so that an idle connection owns none.
///
/// Each has one user at a time; a user is done with it before it returns to the loop.
@safe
final class LoopBuffers {
    /// Between a client's and a server's socket.
    static let relayCount = 256 * 1024
    let relay = UnsafeMutableRawBufferPointer.allocate(
        byteCount: relayCount,
        alignment: 64
    )

    deinit { unsafe relay.deallocate() }
}
