import NetworkModel
import Streaming
import Wire

/// The end of a stream that has a socket: a client's at the ingress, a server's at the egress.
///
/// Bytes from the socket are read only when the carrier asks for them and go into its buffer at once; until their
/// acknowledgment a copy stays in the sender's ring. Bytes from the carrier are written to the socket at once; what it
/// does not take waits, bounded by the window. What ends the stream is told to its state machine.
protocol SocketStream: StreamOwner, EventHandler {
    var engine: StreamEngine { get }
    var end: StreamEnd { get }
    /// Of the state machine.
    var flow: StreamFlow { get set }
    var part: SocketPart { get set }
    var holdings: StreamHoldings { get set }

    func tell(_ event: SocketEvent)
    /// The socket has ended; true when that counts as a failure of whoever is there.
    func endOfSocket() -> Bool
}

/// What an end's state machine or its service is told of the socket.
enum SocketEvent {
    /// The client or the server reset its connection, or vanished.
    case failed
    /// Both directions have ended in order.
    case finished
    case violated
    /// There is no memory for what came.
    case overloaded
    /// The first byte has passed.
    case touched
    /// The first byte of the other end has come.
    case answered
    /// Another time limit holds than before.
    case limitChanged
    /// Something may have come before the stream is open.
    case readable
}

extension SocketStream {
    func handle(_ events: ReadyEvents, on loop: EventLoop) {
        part.note(events)
        if events.contains(.hasError), part.socket?.takeError("relay") != nil {
            return tell(.failed)
        }
        moveWhatWaits()
    }

    func moveWhatWaits() {
        guard flow.isOpen else {
            if part.isReadable { tell(.readable) }
            return
        }
        if part.isWritable, !flow.receiver.pending.isEmpty { drain() }
        if part.isReadable { requestDataIfPossible() }
    }

    func loopEnded() { abandon() }

    func endIfSocketIsSilent(for limit: Duration) {
        if part.isSilent(for: limit, at: engine.loop.now) { tell(.failed) }
    }

    /// Does what the inputs before have made due.
    func follow() {
        var steps = flow.takeSteps()
        guard !steps.isEmpty else { return }
        if steps.has(.touched) { tell(.touched) }
        if steps.has(.answered) { tell(.answered) }
        if steps.has(.deliverFin) {
            guard deliverFin() else { return tell(.failed) }
            steps.formUnion(flow.takeSteps())
        }
        if steps.has(.acknowledge) { sendAcknowledgment() }
        if steps.has(.acknowledgeSoon) { engine.acknowledgeLazily(self) }
        if steps.has(.finished) { return tell(.finished) }
        if steps.has(.directionEnded) { tell(.limitChanged) }
        if steps.has(.send) { requestDataIfPossible() }
    }

    // MARK: What it holds of its loop

    /// The receiver's window was, or is about to be, told to the other end.
    func countWindow() {
        let window = Int32(flow.receiver.window)
        guard window > holdings.window else { return }
        engine.windowGranted(Int(window - holdings.window))
        holdings.window = window
    }

    /// Lets go of socket, memory and counts.
    func closeSocket(inOrder: Bool) {
        // Both FINs have passed: closing is no reset. Fails only when the connection is gone.
        if inOrder { try? part.socket?.setAbortive(false) }
        part.close(on: engine.loop)
        engine.windowReturned(Int(holdings.window))
        holdings.window = 0
    }
}

// MARK: - From the carrier to the socket

extension SocketStream {
    func receive(
        data payload: RawSpan,
        at offset: UInt64,
        on end: StreamEnd
    ) throws(StreamViolation) {
        // Nothing can come on a path that is not in use yet.
        guard end === self.end else { throw .unexpected(.data) }
        let now = engine.loop.now
        let count = payload.byteCount - DataFrame.headerSize
        let known = try flow.receive(dataAt: offset, count: count, at: now)
        var start = DataFrame.headerSize + known
        guard start < payload.byteCount else { return }
        if flow.writesThrough, part.isWritable {
            let rest = payload.extracting(start...)
            switch unsafe rest.withUnsafeBytes({ unsafe part.write($0, at: now) }) {
            case .bytes(let written):
                flow.didWrite(written)
                start += written
            case .wouldBlock, .endOfFile:
                break
            case .failed:
                // Kept for a server that may take this one's place.
                flow.keep(rest)
                return tell(.failed)
            }
        }
        if start < payload.byteCount {
            // A short write: epoll tells when there is room again.
            part.isWritable = false
            guard engine.mayKeep(payload.byteCount - start, in: flow.receiver.pending.pool) else {
                return tell(.overloaded)
            }
            flow.keep(payload.extracting(start...))
        }
        follow()
    }

    func receive(_ fin: Fin, on end: StreamEnd) throws(StreamViolation) {
        guard end === self.end else { throw .unexpected(.fin) }
        try flow.receive(fin)
        follow()
    }

    /// Writes what waits.
    private func drain() {
        let now = engine.loop.now
        while !flow.receiver.pending.isEmpty, part.isWritable {
            var result = IOResult.wouldBlock
            _ = unsafe flow.drain(at: now) { bytes in
                result = unsafe part.write(bytes, at: now)
                return result.count
            }
            switch result {
            case .bytes: break
            case .wouldBlock, .endOfFile: part.isWritable = false
            case .failed: return tell(.failed)
            }
        }
        follow()
    }

    private func deliverFin() -> Bool {
        let now = engine.loop.now
        do throws(SystemError) {
            // Closing in order passes it on as well.
            if !flow.isFinLast { try part.shutdownWriting(at: now) }
        } catch {
            return false
        }
        flow.didDeliverFin(at: now)
        return true
    }

    // MARK: Acknowledgments

    /// What `acknowledgeLazily` asked for.
    func acknowledgeNow() {
        if flow.acknowledgeNow() { sendAcknowledgment() }
    }

    private func sendAcknowledgment() {
        guard end.isAttached else { return }
        let frame = takeAcknowledgment()
        end.send(.acknowledgment) { frame.encode(into: &$0) }
    }

    private func takeAcknowledgment() -> Acknowledgment {
        let receiver = (flow.receiver.window, flow.receiver.pending.pool)
        let frame = flow.takeAcknowledgment(
            at: engine.loop.now,
            roundTrip: end.carrier?.conduit.roundTrip ?? .milliseconds(1),
            mayGrow: engine.mayGrow(receiver.0, in: receiver.1)
                && !end.needsNoMore(than: receiver.0),
            shrinks: engine.shrinksWindows
        )
        countWindow()
        return frame
    }
}

// MARK: - From the socket to the carrier

extension SocketStream {
    func requestDataIfPossible() {
        if flow.isReadyToSend || (part.isReadable && flow.sender.room > 0) { end.requestData() }
    }

    func receive(_ acknowledgment: Acknowledgment, on end: StreamEnd) throws(StreamViolation) {
        guard end === self.end else { throw .unexpected(.acknowledgment) }
        try flow.receive(acknowledgment)
        follow()
    }

    /// Those of the socket go along with data.
    func produceAcknowledgment(into buffer: inout FrameBuffer, at end: StreamEnd) {}

    func produce(into buffer: inout FrameBuffer, limit: Int, at end: StreamEnd) -> Bool {
        guard flow.isOpen else { return false }
        var room = limit
        if acknowledges(at: end) {
            let frame = takeAcknowledgment()
            buffer.append(type: .acknowledgment, label: end.label) {
                frame.encode(into: &$0)
            }
            room -= FrameHeader.size + Acknowledgment.size
        }
        let isFull = fill(&buffer, &room)
        follow()
        return isFull && (flow.isReadyToSend || (part.isReadable && readRoom > 0))
    }

    /// Whether an acknowledgment goes along with data.
    ///
    /// One that is not due takes a frame of its own: while others wait for their turn it is left to `acknowledgeLazily`, which
    /// has one for all that comes until then.
    private func acknowledges(at end: StreamEnd) -> Bool {
        flow.receiver.isAcknowledgmentDue
            || (flow.receiver.owesAcknowledgment && end.carrier?.isCrowded == false)
    }

    /// Appends what there is; false when it ends before `room` does.
    private func fill(_ buffer: inout FrameBuffer, _ room: inout Int) -> Bool {
        while room > 512 {
            let most = min(room - FrameHeader.size - DataFrame.headerSize, FrameHeader.maximumData)
            let count = flow.appendData(atMost: most, label: end.label, to: &buffer)
            if count > 0 {
                room -= count + FrameHeader.size + DataFrame.headerSize
            } else if flow.appendFin(label: end.label, to: &buffer) {
                return false
            } else {
                let allowed = part.isReadable ? min(most, readRoom) : 0
                guard allowed > 0, read(atMost: allowed) else { return false }
            }
        }
        return true
    }

    /// The bytes that may be read from the socket now.
    ///
    /// The window is the neighbor's word; the memory is ours. When that is short, the stream asks again later.
    private var readRoom: Int {
        let room = flow.sender.room
        guard room > 0 else { return 0 }
        let (kept, pool) = (flow.sender.ring.count, flow.sender.ring.pool)
        let allowance = engine.readAllowance(keeping: kept, in: pool)
        if allowance == 0, part.isReadable, !holdings.isStarved {
            holdings.isStarved = true
            engine.awaitMemory(self)
        }
        return min(room, allowance)
    }

    /// What `awaitMemory` asked for.
    func readAgain() {
        holdings.isStarved = false
        if flow.isOpen, part.socket != nil { requestDataIfPossible() }
    }

    /// Reads once; false when there was nothing, or the stream has ended.
    private func read(atMost most: Int) -> Bool {
        let wanted = min(most, part.readSize)
        var asked = 0
        var result = IOResult.wouldBlock
        _ = flow.fill(atMost: wanted, at: engine.loop.now) { space in
            asked = space.count
            result = part.socket?.read(into: space) ?? .wouldBlock
            return result.count
        }
        part.noteRead(result, of: asked)
        switch result {
        case .bytes: return true
        case .wouldBlock: return false
        case .endOfFile: if !endOfSocket() { return true }
        case .failed: break
        }
        // Not from within the carrier's turn.
        engine.loop.schedule(after: .zero) { [self] _ in tell(.failed) }
        return false
    }
}
