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
    /// The kernel has reported an error, or that both directions are shut.
    private(set) var isSuspect = false

    init(_ descriptor: consuming FileDescriptor, on loop: EventLoop) {
        self.descriptor = consume descriptor
        self.loop = loop
    }

    func register(for relay: PlainRelay) throws(SystemError) {
        guard let number = descriptor?.number else { return }
        self.relay = relay
        registration = try loop.register(self, descriptor: number, trigger: .edge)
    }

    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        if !events.isDisjoint(with: [.readable, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.writable, .failed]) { isWritable = true }
        if events.contains(.failed) { isSuspect = true }
        relay?.move()
    }

    func loopEnded() { close(isFinished: false) }

    /// Calls the relay again in the next turn.
    func resume() {
        if let registration { loop.resume(registration) }
    }

    /// Stops watching, and closes: with a FIN when both have passed, else with a RST.
    func close(isFinished: Bool) {
        guard let socket = take() else { return }
        // Fails only when the connection is gone, and then there is nothing left to say.
        if isFinished { try? socket.setAbortive(false) }
    }

    /// Stops watching and gives the socket away.
    func take() -> FileDescriptor? {
        if let registration { loop.deregister(registration) }
        registration = nil
        relay = nil
        return descriptor.take()
    }

    private static let closed = SystemError("use a closed socket", code: EBADF)

    func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
        unsafe descriptor?.read(into: buffer) ?? .failed(Self.closed)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
        unsafe descriptor?.write(bytes) ?? .failed(Self.closed)
    }

    func shutdownWriting() throws(SystemError) {
        try descriptor?.shutdownWriting()
    }

    func takeError() -> SystemError? { descriptor?.takeError("relay") }
}
