import Glibc

/// One socket of a relay with what epoll last said of it; a handler of its own, so that an event says whose it is.
final class RelaySocket: EventHandler {
    private var descriptor: FileDescriptor?
    private let loop: EventLoop
    private var registration: RegistrationID?
    /// Cleared when the relay ends; until then the loop keeps the relay alive through its sockets.
    private var relay: PlainRelay?

    /// There may be bytes, a FIN or an error to read.
    var isReadable = false
    /// There may be room.
    var isWritable = false
    /// A short read proves nothing any more.
    private(set) var readsToEnd = false
    private var silence = PeerSilence()
    private var late = LateOptions.none
    /// The kernel has reported an error, or that both directions are shut.
    private(set) var isSuspect = false

    /// With a `watch` it is a server's, which `loop` watches already.
    init(
        _ descriptor: consuming FileDescriptor,
        _ watch: Connector.Watch? = nil,
        on loop: EventLoop
    ) {
        self.descriptor = consume descriptor
        self.loop = loop
        guard let watch else { return }
        late = .all
        registration = watch.registration
        loop.handOver(watch.registration, to: self)
        note(watch.ready)
    }

    func register(for relay: PlainRelay) throws(SystemError) {
        guard let number = descriptor?.number else { return }
        self.relay = relay
        if registration == nil {
            registration = try loop.register(self, descriptor: number, trigger: .edge)
        } else if isReadable || isSuspect {
            // What is known already is told nobody else.
            resume()
        }
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        note(events)
        guard let relay else { return }
        // Bulk goes behind the others that are ready.
        if relay.isBulky, !events.contains(.resumed) { relay.moveLater() } else { relay.move() }
    }

    private func note(_ events: ReadyEvents) {
        if !events.isDisjoint(with: [.readable, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.writable, .failed]) { isWritable = true }
        if !events.isDisjoint(with: [.readsToEnd, .failed]) { readsToEnd = true }
        if events.contains(.failed) { isSuspect = true }
    }

    /// True when the other end owes an acknowledgment and has been silent for `limit`.
    ///
    /// To be asked more often than keepalive waits (`LateOptions`).
    func isSilent(for limit: Duration) -> Bool {
        descriptor?.willRest(&late)
        return silence.isOver(
            unacknowledged: descriptor?.unacknowledgedCount ?? 0,
            silence: descriptor?.silence,
            limit: limit,
            at: loop.now
        )
    }

    func loopEnded() { close(isFinished: false) }

    /// Calls the relay again in the next turn.
    func resume() {
        if let registration { loop.resume(registration) }
    }

    /// Stops watching, and closes: with a FIN when both have passed, else with a RST.
    func close(isFinished: Bool) {
        guard let socket = take(closing: true) else { return }
        // Fails only when the connection is gone, and then there is nothing left to say.
        if isFinished { try? socket.setAbortive(false) }
    }

    /// Stops watching and gives the socket away.
    func take(closing: Bool = false) -> FileDescriptor? {
        if let registration { loop.deregister(registration, closing: closing) }
        registration = nil
        relay = nil
        return descriptor.take()
    }

    private static let closed = SystemError("use a closed socket", code: EBADF)

    func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
        let result = unsafe descriptor?.read(into: buffer) ?? .failed(Self.closed)
        if case .bytes(let count) = result, count < buffer.count, !readsToEnd {
            isReadable = false
        }
        return result
    }

    /// Into an empty pipe; how much says nothing of what is left.
    func read(into pipe: RelayPipe, atMost limit: Int) -> IOResult {
        descriptor?.splice(into: pipe, atMost: limit) ?? .failed(Self.closed)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
        willWrite()
        return unsafe descriptor?.write(bytes) ?? .failed(Self.closed)
    }

    /// From a pipe with bytes in it.
    func write(from pipe: RelayPipe) -> IOResult {
        willWrite()
        return descriptor?.splice(from: pipe) ?? .failed(Self.closed)
    }

    private func willWrite() {
        silence.wrote(at: loop.now)
        descriptor?.willWrite(&late)
    }

    func shutdownWriting() throws(SystemError) {
        silence.wrote(at: loop.now)
        try descriptor?.shutdownWriting()
    }

    func takeError() -> SystemError? { descriptor?.takeError("relay") }
}
