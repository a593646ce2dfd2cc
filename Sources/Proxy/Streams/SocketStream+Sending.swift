import Wire

/// From the socket to the carrier.
extension SocketStream {
    func requestDataIfPossible() {
        if sender.ready > 0 || sender.isFinDue || (isReadable && sender.room > 0) { requestData() }
    }

    /// Reads once; false when there was nothing, or the stream has ended.
    func read(atMost most: Int) -> Bool {
        let wanted = min(most, readSize)
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
            return true
        case .endOfFile:
            isReadable = false
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
        let offset = sender.sent
        buffer.append(type: .data, label: label, count: DataFrame.headerSize + count) { span in
            unsafe span.withUnsafeMutableBytes { bytes in
                unsafe bytes.storeBytes(of: offset.bigEndian, as: UInt64.self)
                unsafe sender.ring.copy(
                    from: offset,
                    to: UnsafeMutableRawBufferPointer(rebasing: bytes[DataFrame.headerSize...])
                )
            }
        }
        sender.didSend(count)
    }

    func appendFin(to buffer: inout FrameBuffer) {
        let offset = sender.sent
        buffer.append(type: .fin, label: label, count: Fin.size) { span in
            unsafe span.withUnsafeMutableBytes { bytes in
                unsafe bytes.storeBytes(of: offset.bigEndian, as: UInt64.self)
            }
        }
        sender.didSendFin()
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
