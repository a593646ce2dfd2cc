import NetworkModel
import TLS
import Wire

/// From the queues to the socket.
extension Lane {
    /// Less room than this is not offered to the delegate: tiny data frames cost more than they bring.
    private static let dataLimitMin = 4 * 1024

    /// Queues one control frame; ignored when the lane is not established or is ending.
    ///
    /// A payload that is longer than a frame may be ends the lane: part of it would be worse than nothing.
    func send(_ type: UInt8, label: UInt32 = 0, _ payload: RawSpan) {
        guard isEstablished else { return }
        guard payload.byteCount <= FrameHeader.maximumPayload else {
            return close(LaneClosing(.other, "a frame of \(payload.byteCount) bytes to send"))
        }
        guard control.count + payload.byteCount <= Self.controlCountMax else {
            // The queue does not move: CLOSE would not arrive either.
            state = .closing(.overflow)
            return endLater(.overflow)
        }
        control.append(type: type, label: label, payload: payload)
        requestFlush()
    }

    func send(_ type: UInt8, label: UInt32 = 0, _ payload: [UInt8] = []) {
        unsafe send(type, label: label, payload.span.bytes)
    }

    /// Bytes of control frames that wait.
    var queuedControlCount: Int { control.count }

    /// Asks for `laneProduceData` at the end of this turn, or as soon as there is room.
    func requestData() {
        wantsData = true
        requestFlush()
    }

    var hasSomethingToSend: Bool {
        wantsData || liveness.owesHeartbeat || !control.isEmpty || !unsent.isEmpty
    }

    func requestFlush() {
        if let registration { loop.callAtTurnEnd(registration) }
    }

    /// Sends one batch; asks for the next turn when there is more.
    func flush() {
        switch state {
        case .connecting, .lingering, .ended: return
        case .handshaking: return startHandshake()
        case .established, .closing: break
        }
        guard writeUnsent() else { return }
        lookIfDue()
        let hasBeat = fillBatch()
        if !loop.buffers.batch.isEmpty {
            guard encryptBatch() else { return }
            if hasBeat { liveness.wrote(upTo: pace.written + UInt64(unsent.count)) }
            guard writeUnsent() else { return }
        }
        if case .closing(let reason) = state, control.isEmpty { return finish(reason) }
        guard hasSomethingToSend, let registration else { return }
        guard pace.room < Self.dataLimitMin else { return loop.resume(registration) }
        pace.heldBack()
        waitForRoom()
    }

    private func startHandshake() {
        let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        let output = loop.buffers.ciphertext
        let plaintext = unsafe loop.buffers.plaintext
        let progress = unsafe session?.process(empty, plaintext: plaintext, output: output)
        sendRecords()
        if let failure = progress?.failure { end(.handshake(failure)) }
    }

    /// True when a heartbeat is among what was put together.
    private func fillBatch() -> Bool {
        loop.buffers.batch.removeAll()
        let hasBeat = liveness.owesHeartbeat && isEstablished
        if hasBeat {
            var writer = FrameWriter()
            liveness.heartbeat(at: EventLoop.clock()).encode(into: &writer)
            loop.buffers.batch.append(
                type: FrameType.heartbeat.rawValue,
                label: 0,
                payload: writer.bytes
            )
        }
        // What waits in the kernel waits in front of the next heartbeat.
        let room = min(LoopBuffers.batchCount, pace.room)
        guard room >= Self.dataLimitMin else { return hasBeat }
        if !control.isEmpty {
            control.moveFrames(to: &loop.buffers.batch, limit: room)
        }
        guard wantsData, isEstablished, let delegate else { return hasBeat }
        let limit = room - loop.buffers.batch.count
        guard limit >= Self.dataLimitMin else { return hasBeat }
        // Before the call, which may ask for another.
        wantsData = false
        if delegate.laneProduceData(self, into: &loop.buffers.batch, limit: limit) {
            wantsData = true
        }
        return hasBeat
    }

    private func encryptBatch() -> Bool {
        let output = loop.buffers.ciphertext
        do throws(TLSError) {
            let result = unsafe loop.buffers.batch.withBytes { bytes in
                Result<Void, TLSError> { () throws(TLSError) in
                    try unsafe session?.encrypt(bytes, output: output)
                }
            }
            try result.get()
        } catch {
            end(.violation("\(error)"))
            return false
        }
        sendRecords()
        return registration != nil
    }

    /// Sends what a session put into the loop's buffer; what the socket does not take is kept.
    func sendRecords() {
        let records = loop.buffers.ciphertext
        defer { records.removeAll() }
        guard !records.isEmpty else { return }
        if unsent.isEmpty {
            isWritable = true
            unsafe records.withBytes { bytes in
                let taken = unsafe write(bytes)
                guard taken < bytes.count else { return }
                unsafe unsent.append(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
            }
        } else {
            // Key updates and alerts only: batches wait until nothing is unsent.
            unsafe records.withBytes { unsafe unsent.append($0) }
        }
        if unsent.count > 2 * Self.controlCountMax { endLater(.overflow) }
    }

    /// True when nothing is left that the socket did not take.
    private func writeUnsent() -> Bool {
        guard !unsent.isEmpty, isWritable else { return unsent.isEmpty && registration != nil }
        let taken = unsafe unsent.withBytes { unsafe write($0) }
        unsent.removeFirst(taken)
        return unsent.isEmpty && registration != nil
    }

    /// Writes until the socket is full; gives how much it took.
    private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        while offset < bytes.count, isWritable {
            let left = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            switch unsafe socket?.write(left) ?? .wouldBlock {
            case .bytes(let count):
                offset += count
                pace.wrote(count, at: loop.now)
            case .wouldBlock, .endOfFile:
                isWritable = false
            case .failed(let error):
                isWritable = false
                loseConnection(error)
            }
        }
        return offset
    }

    /// A failed write: the neighbor may have said why it ended, in bytes that were not read yet.
    private func loseConnection(_ error: SystemError) {
        isReadable = true
        if let registration { loop.resume(registration) }
        // Timers come after resumed handlers.
        endLater(.connection(error))
    }

    /// Everything has left: end our direction in order and wait for the neighbor's.
    private func finish(_ reason: LaneCloseReason) {
        session?.end(output: loop.buffers.ciphertext)
        sendRecords()
        try? socket?.shutdownWriting()
        linger(reason)
    }
}

// MARK: - How much the path takes

extension Lane {
    /// Between two looks at the kernel's figures on a fast path, and on a slow one.
    private static let lookInterval = Duration.milliseconds(10)
    private static let slowLookInterval = Duration.milliseconds(1)

    private func lookIfDue() {
        guard wantsData || !control.isEmpty else { return }
        let interval = pace.isSlow ? Self.slowLookInterval : Self.lookInterval
        if EventLoop.clock() - lastLook >= interval { look() }
    }

    /// Asks the kernel how much was delivered.
    func look() {
        guard let sample = socket?.deliverySample else { return }
        lastLook = EventLoop.clock()
        pace.look(sample, at: lastLook)
        liveness.delivered(pace.acknowledged, advancedAt: pace.advancedAt, at: lastLook)
        liveness.bound(least: sample.leastRoundTrip, most: sample.mostRoundTrip)
        limitUnsent()
    }

    /// The kernel's own limit follows, in steps of two.
    private func limitUnsent() {
        let wanted = Int32(clamping: min(Int(Self.unsentLimitMax), pace.limit))
        guard
            wanted > unsentLimit * 2 || wanted * 2 <= unsentLimit
                || (wanted == Self.unsentLimitMax && unsentLimit != wanted)
        else { return }
        unsentLimit = wanted
        // It only shortens a queue: without it the lane works as well.
        try? socket?.limitUnsentBytes(to: wanted)
    }

    /// Goes on to send once the path has taken some of what waits.
    private func waitForRoom() {
        guard paceTimer == nil else { return }
        paceTimer = loop.schedule(after: pace.pause) { [self] _ in
            paceTimer = nil
            look()
            flush()
        }
    }
}
