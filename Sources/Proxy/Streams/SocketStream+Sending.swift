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
        let result = unsafe sender.fill(atMost: wanted) { region in
            asked = region.count
            return unsafe socket?.read(into: region) ?? .wouldBlock
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

extension ByteRing {
    /// Appends the `count` bytes from `offset` on as one DATA frame.
    func appendFrame(
        _ count: Int,
        from offset: UInt64,
        label: UInt32,
        to buffer: inout FrameBuffer
    ) {
        buffer.append(type: .data, label: label, count: DataFrame.headerSize + count) { span in
            unsafe span.withUnsafeMutableBytes { bytes in
                unsafe bytes.storeBytes(of: offset.bigEndian, as: UInt64.self)
                unsafe copy(
                    from: offset,
                    to: UnsafeMutableRawBufferPointer(rebasing: bytes[DataFrame.headerSize...])
                )
            }
        }
    }
}

extension FrameBuffer {
    /// Appends one frame of `count` bytes that `write` fills.
    mutating func append(
        type: FrameType,
        label: UInt32,
        count: Int,
        write: (inout MutableRawSpan) -> Void
    ) {
        append(type: type.rawValue, label: label, count: count, write: write)
    }

    mutating func append(type: FrameType, label: UInt32, _ body: (inout FrameWriter) -> Void) {
        var writer = FrameWriter(reserving: 32)
        body(&writer)
        append(type: type.rawValue, label: label, payload: writer.bytes)
    }
}
