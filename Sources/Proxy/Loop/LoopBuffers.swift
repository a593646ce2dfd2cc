import TLS
import Wire

/// The large buffers that all sockets of one loop share, so that an idle connection owns none.
///
/// Each has one user at a time; a user is done with it before it returns to the loop.
@safe
final class LoopBuffers {
    static let relayCount = 256 * 1024
    static let readCount = 256 * 1024
    /// What one flush of a lane encrypts at most, a last frame that overshoots apart.
    static let batchCount = 256 * 1024
    /// Records that came with one read, behind what was left of the frame before.
    private static let plaintextCount = 512 * 1024

    /// Bytes that relays keep because their targets do not take them.
    var keptCount = 0
    /// Beyond this they read little at once.
    var keptCountMax = 64 << 20

    /// Between a client's and a server's socket.
    let relay = unsafe make(relayCount)
    /// Likewise, for those that move much.
    let pipes = RelayPipes()
    /// Ciphertext that a lane has read.
    let read = unsafe make(readCount)
    /// What it says.
    let plaintext = unsafe make(plaintextCount)
    /// Frames that a lane is about to send.
    var batch = FrameBuffer(minimumCapacity: 2 * batchCount)
    /// Their ciphertext.
    let ciphertext = Ciphertext(minimumCapacity: 2 * batchCount)

    deinit {
        unsafe relay.deallocate()
        unsafe read.deallocate()
        unsafe plaintext.deallocate()
    }

    private static func make(_ count: Int) -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: count, alignment: 64)
    }
}
