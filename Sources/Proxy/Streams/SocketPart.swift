import NetworkModel
import Wire

/// What a stream's end has of its socket: the descriptor, and what epoll and reads said of it last.
struct SocketPart: ~Copyable {
    static let readMinimum = 4_096

    // In an order without gaps.
    /// Whether the other end of the socket has vanished.
    private var silence = PeerSilence()
    private var registration = RegistrationID.none
    private var readCount = Int32(SocketPart.readMinimum)
    var socket: FileDescriptor?
    /// There may be bytes, a FIN or an error to read.
    var isReadable = false
    /// There may be room in the socket.
    var isWritable = true
    /// A short read proves nothing any more.
    private var readsToEnd = false
    private var late = LateOptions.none

    /// A client's, or none yet.
    init(_ socket: consuming FileDescriptor?) { self.socket = socket }

    var isWatched: Bool { registration != .none }

    /// How much to read at once: grows while reads are full.
    private(set) var readSize: Int {
        get { Int(readCount) }
        set { readCount = Int32(newValue) }
    }

    /// Watches the socket; false when the kernel refuses.
    mutating func watch(for handler: any EventHandler, on loop: EventLoop) -> Bool {
        guard !isWatched else { return true }
        guard let number = socket?.number else { return false }
        registration =
            (try? loop.register(handler, descriptor: number, trigger: .edge)) ?? .none
        return isWatched
    }

    /// Takes over a server's socket that `loop` watches already.
    mutating func adopt(
        _ socket: consuming FileDescriptor,
        _ watch: Connector.Watch,
        for handler: any EventHandler,
        on loop: EventLoop
    ) {
        self.socket = consume socket
        late = .all
        registration = watch.registration
        loop.handOver(watch.registration, to: handler)
        note(watch.ready)
    }

    mutating func unwatch(on loop: EventLoop, closing: Bool = false) {
        if isWatched { loop.deregister(registration, closing: closing) }
        registration = .none
        isReadable = false
        readsToEnd = false
        isWritable = true
    }

    /// With SO_LINGER {1, 0} set, closing resets the connection.
    mutating func close(on loop: EventLoop) {
        unwatch(on: loop, closing: true)
        socket = nil
    }

    mutating func note(_ events: ReadyEvents) {
        if !events.isDisjoint(with: [.readable, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.writable, .failed]) { isWritable = true }
        if !events.isDisjoint(with: [.readsToEnd, .failed]) { readsToEnd = true }
    }

    /// One read gave `result`, of at most `asked` bytes.
    mutating func noteRead(_ result: IOResult, of asked: Int) {
        guard case .bytes(let count) = result else {
            isReadable = false
            return
        }
        // Nothing was left: epoll tells when more has come.
        if count < asked, !readsToEnd { isReadable = false }
        if count == readSize, readSize < FrameHeader.maximumData {
            readSize = min(4 * readSize, FrameHeader.maximumData)
        } else if count < readSize / 8 {
            readSize = max(readSize / 2, Self.readMinimum)
        }
    }

    /// Writes once.
    mutating func write(_ bytes: UnsafeRawBufferPointer, at now: Instant) -> IOResult {
        socket?.willWrite(&late)
        let result = unsafe socket?.write(bytes) ?? .wouldBlock
        if case .bytes = result { silence.wrote(at: now) }
        return result
    }

    /// Sends our FIN behind what was written.
    mutating func shutdownWriting(at now: Instant) throws(SystemError) {
        try socket?.shutdownWriting()
        silence.wrote(at: now)
    }

    /// To be asked more often than keepalive waits (`LateOptions`).
    mutating func isSilent(for limit: Duration, at now: Instant) -> Bool {
        socket?.willRest(&late)
        return silence.isOver(
            unacknowledged: socket?.unacknowledgedCount ?? 0,
            silence: socket?.silence,
            limit: limit,
            at: now
        )
    }
}

/// What an end holds of its loop and its service, to be given back once.
struct StreamHoldings {
    /// Bytes of the receiver's window that were told to the other end.
    var window: Int32 = 0
    /// The service was told that a byte has passed.
    var isTouched = false
    /// It waits for memory to read.
    var isStarved = false
}
