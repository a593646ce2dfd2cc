import NetworkModel
import Streaming
import Wire

/// The end of a stream that has a socket: a client's at the ingress, a server's at the egress.
///
/// Bytes from the socket are read only when the carrier asks for them and go into its buffer at once; until their
/// acknowledgment a copy stays in the sender's ring. Bytes from the carrier are written to the socket at once; what it
/// does not take waits, bounded by the window. Whatever ends the stream leads through `close`, once.
class SocketStream: StreamEnd, EventHandler {
    static let readMinimum = 4_096

    unowned let engine: StreamEngine
    final var socket: FileDescriptor?
    private final var registration: RegistrationID?
    /// There may be bytes, a FIN or an error to read.
    final var isReadable = false
    /// A short read proves nothing any more.
    final var readsToEnd = false
    final var silence = PeerSilence()
    /// There may be room in the socket.
    final var isWritable = true
    /// How much to read at once: grows while reads are full.
    final var readSize = SocketStream.readMinimum
    final var sender: StreamSender
    final var receiver: StreamReceiver
    final var owesLazily = false
    final var isStarved = false
    private final var isWindowCounted = false
    /// When a byte or a FIN last moved.
    final var lastMoved: Instant
    /// True once the other end has taken the stream: bytes may flow.
    final var isOpen = false
    /// A byte has passed in some direction.
    private(set) final var isTouched = false

    /// `pool` holds the bytes of both directions.
    init(socket: consuming FileDescriptor?, engine: StreamEngine, pool: BufferPool) {
        self.engine = engine
        self.socket = socket
        sender = StreamSender(pool)
        receiver = StreamReceiver(
            pool,
            window: engine.initialWindow,
            at: engine.loop.now
        )
        lastMoved = engine.loop.now
        super.init()
    }

    /// What is kept is drawn from another pool of this loop from now on.
    final func draw(on pool: BufferPool) {
        sender.draw(on: pool)
        receiver.draw(on: pool)
    }

    /// The receiver's window was, or is about to be, told to the other end.
    final func countWindow() {
        if !isWindowCounted { engine.windowGranted(receiver.window) }
        isWindowCounted = true
    }

    deinit { assert(isClosed, "a stream was dropped before it was closed") }

    // MARK: What the subclasses add

    /// The client or the server reset its connection, or it timed out.
    func socketFailed() {}
    /// The other end reset the stream.
    func streamReset(_ reason: Reset.Reason) {}
    /// Both directions ended in order; the socket is closed and the label given back.
    func streamFinished() {}
    /// The first byte has passed.
    func didTouch() {}
    /// Whether the end that was read from the socket is a failure of whoever is there.
    var isEarlyEnd: Bool { false }

    final func touch() {
        guard !isTouched else { return }
        isTouched = true
        didTouch()
    }

    // MARK: The socket

    private final var isClosed = false

    /// Watches the socket; false when the kernel refuses.
    final func watch() -> Bool {
        guard let number = socket?.number else { return false }
        do throws(SystemError) {
            registration = try engine.loop.register(self, descriptor: number, trigger: .edge)
            return true
        } catch {
            return false
        }
    }

    /// Goes on with a registration that somebody else made for the socket.
    final func adopt(_ watch: Connector.Watch) {
        registration = watch.registration
        engine.loop.handOver(watch.registration, to: self)
        note(watch.ready)
    }

    final func unwatch(closing: Bool = false) {
        if let registration { engine.loop.deregister(registration, closing: closing) }
        registration = nil
        isReadable = false
        readsToEnd = false
        isWritable = true
        didUnwatch()
    }

    /// The socket is watched no more.
    func didUnwatch() {}

    final func handle(_ events: ReadyEvents, on loop: EventLoop) {
        note(events)
        if events.contains(.failed), let error = socket?.takeError("relay"), error.code != 0 {
            return socketFailed()
        }
        moveWhatWaits()
    }

    private final func note(_ events: ReadyEvents) {
        if !events.isDisjoint(with: [.readable, .failed]) { isReadable = true }
        if !events.isDisjoint(with: [.writable, .failed]) { isWritable = true }
        if !events.isDisjoint(with: [.readsToEnd, .failed]) { readsToEnd = true }
    }

    final func moveWhatWaits() {
        guard isOpen else { return }
        if isWritable { drainPending() }
        if isReadable { requestDataIfPossible() }
    }

    override func endIfSilent(for limit: Duration) {
        let isOver = silence.isOver(
            unacknowledged: socket?.unacknowledgedCount ?? 0,
            silence: socket?.silence,
            limit: limit,
            at: engine.loop.now
        )
        if isOver { socketFailed() }
    }

    final func loopEnded() { abandon() }

    override func abandon() {
        detach()
        close()
    }

    /// Lets go of socket, memory and counts.
    ///
    /// With SO_LINGER {1, 0} set, closing resets the connection.
    final func close() {
        guard !isClosed else { return }
        isClosed = true
        unwatch(closing: true)
        socket = nil
        if isWindowCounted { engine.windowReturned(receiver.window) }
    }

    /// The bytes may flow: the other end takes `window` of them before it acknowledges any.
    final func opened(window: UInt32) {
        isOpen = true
        sender.open(window: window)
        requestDataIfPossible()
    }

    // MARK: Towards the carrier

    final override func produce(into buffer: inout FrameBuffer, limit: Int) -> Bool {
        guard isOpen else { return false }
        var room = limit
        if receiver.owesAcknowledgment {
            let frame = takeAcknowledgment()
            buffer.append(type: .acknowledgment, label: label) {
                frame.encode(into: &$0)
            }
            room -= FrameHeader.size + Acknowledgment.size
        }
        while room > 512 {
            let most = min(room - FrameHeader.size - DataFrame.headerSize, FrameHeader.maximumData)
            if sender.ready > 0 {
                let count = min(sender.ready, most)
                append(count, to: &buffer)
                room -= count + FrameHeader.size + DataFrame.headerSize
            } else if sender.isFinDue {
                appendFin(to: &buffer)
                return false
            } else if !isReadable || readRoom == 0 || !read(atMost: most) {
                return false
            }
        }
        return isOpen && (sender.ready > 0 || (isReadable && readRoom > 0) || sender.isFinDue)
    }

    // MARK: From the carrier

    final override func receive(data payload: RawSpan, at offset: UInt64) throws(StreamViolation) {
        guard isOpen else { throw .unexpected(.data) }
        let count = payload.byteCount - DataFrame.headerSize
        let skipped = try receiver.check(offset, count: count)
        guard skipped < count else { return }
        lastMoved = engine.loop.now
        touch()
        var start = DataFrame.headerSize + skipped
        if receiver.pending.isEmpty, isWritable {
            switch socket?.write(payload.extracting(start...)) ?? .wouldBlock {
            case .bytes(let written):
                silence.wrote(at: lastMoved)
                receiver.passed(written)
                start += written
            case .wouldBlock, .endOfFile:
                break
            case .failed:
                // Kept for a server that may take this one's place.
                receiver.store(payload.extracting(start...))
                return socketFailed()
            }
        }
        if start < payload.byteCount {
            // A short write: epoll tells when there is room again.
            isWritable = false
            guard engine.mayHold(payload.byteCount - start, in: receiver.pending.pool) else {
                return overloaded()
            }
            receiver.store(payload.extracting(start...))
        }
        acknowledgeIfDue()
    }

    final override func receive(_ fin: Fin) throws(StreamViolation) {
        guard isOpen else { throw .unexpected(.fin) }
        try receiver.finish(fin.offset)
        deliverFinIfDue()
    }

    final override func receive(
        _ acknowledgment: Acknowledgment
    ) throws(StreamViolation) {
        guard isOpen else { throw .unexpected(.acknowledgment) }
        if try sender.acknowledged(acknowledgment) {
            if sender.isFinAcknowledged { return finishIfDone() }
            requestDataIfPossible()
        }
    }

    final override func receive(_ reset: Reset) {
        detach()
        streamReset(reset.reason)
    }

    /// One of the directions is done: the time limit is another one from now on.
    func directionEnded() {}

    // MARK: The end

    final func failLater() {
        if !isClosed { socketFailed() }
    }

    final func finishIfDone() {
        guard sender.isFinAcknowledged, receiver.isFinDelivered, !isClosed else { return }
        // Both FINs have passed: closing is no reset. Fails only when the connection is gone.
        try? socket?.setAbortive(false)
        detach()
        close()
        streamFinished()
    }

    /// Tells the other end; the label is free from now on.
    final func sendReset(_ reason: Reset.Reason) {
        guard let carrier else { return }
        carrier.conduit.send(.reset, label: label) { Reset(reason: reason).encode(into: &$0) }
        detach()
    }

    final func overloaded() {
        sendReset(.overloaded)
        streamReset(.overloaded)
    }

    final override func violated(_ violation: StreamViolation) {
        sendReset(.protocolError)
        streamReset(.protocolError)
    }
}
