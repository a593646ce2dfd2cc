import Streaming
import Wire

/// From the socket to the carrier.
extension SocketStream {
    func requestDataIfPossible() {
        if sender.ready > 0 || sender.isFinDue || (isReadable && readRoom > 0) { requestData() }
    }

    /// The bytes that may be read from the socket now.
    ///
    /// The window is the neighbor's word; the memory is ours. When that is short, the stream asks again later.
    var readRoom: Int {
        let room = sender.room
        guard room > 0 else { return 0 }
        let allowance = engine.readAllowance(keeping: sender.ring.count, in: sender.ring.pool)
        if allowance == 0, isReadable, !isStarved {
            isStarved = true
            engine.awaitMemory(self)
        }
        return min(room, allowance)
    }

    /// What `awaitMemory` asked for.
    func readAgain() {
        isStarved = false
        if isOpen, socket != nil { requestDataIfPossible() }
    }

    /// Reads once; false when there was nothing, or the stream has ended.
    func read(atMost most: Int) -> Bool {
        let wanted = min(most, readSize, readRoom)
        var asked = 0
        var result = IOResult.wouldBlock
        _ = unsafe sender.fill(atMost: wanted) { region in
            asked = region.count
            result = unsafe socket?.read(into: region) ?? .wouldBlock
            return result.count
        }
        switch result {
        case .bytes(let count):
            // Nothing was left: epoll tells when more has come.
            if count < asked, !readsToEnd { isReadable = false }
            if count == readSize, readSize < FrameHeader.maximumData {
                readSize = min(4 * readSize, FrameHeader.maximumData)
            } else if count < readSize / 8 {
                readSize = max(readSize / 2, Self.readMinimum)
            }
            lastMoved = engine.loop.now
            touch()
            return true
        case .endOfFile:
            isReadable = false
            sender.end()
            if isEarlyEnd {
                sender.takeBackFin()
                engine.loop.schedule(after: .zero) { [self] _ in failLater() }
                return false
            }
            lastMoved = engine.loop.now
            directionEnded()
            return true
        case .wouldBlock:
            isReadable = false
            return false
        case .failed:
            isReadable = false
            // Not from within the carrier's turn.
            engine.loop.schedule(after: .zero) { [self] _ in failLater() }
            return false
        }
    }

    func append(_ count: Int, to buffer: inout FrameBuffer) {
        sender.ring.appendFrame(count, from: sender.sent, label: label, to: &buffer)
        sender.didSend(count)
    }

    func appendFin(to buffer: inout FrameBuffer) {
        buffer.append(type: .fin, label: label) { Fin(offset: sender.sent).encode(into: &$0) }
        sender.didSendFin()
    }
}
