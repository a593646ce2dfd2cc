import NetworkModel

/// One direction of a relay: from one socket to the other, through the loop's buffer, or through a pipe while it moves much.
struct RelayDirection {
    /// Bytes that were read and that the target did not take yet; empty most of the time.
    ///
    /// At most what one read gave: nothing is read while it is not empty.
    private(set) var rest: [UInt8]
    private var restStart = 0
    /// Likewise, of what was not copied; nil while there is none.
    private var pipe: RelayPipe?
    /// Bytes that the target took.
    private(set) var bytes: UInt64 = 0
    /// The target did not take all of the last read.
    private var isSlow = false
    /// How many of the last reads were large.
    private var largeReads = 0
    /// Many were, and not many small ones since.
    private(set) var isBulky = false
    /// The source's FIN was read.
    private(set) var isEnded = false
    /// The source's FIN was passed on.
    private(set) var isShut = false
    /// Whether a FIN before any byte is kept from the target.
    var holdsEarlyEnd = false
    /// Whether the relay ends with this direction: then closing the target passes the FIN on.
    var isLast = false

    enum Outcome {
        /// Nothing more to do until an event comes.
        case waiting
        /// The budget is used up: go on in the next turn.
        case more
        case sourceFailed(SystemError)
        /// The source's FIN came before any byte, and was not passed on.
        case endedEarly
        case targetFailed(SystemError)

        var isMore: Bool { if case .more = self { true } else { false } }
    }

    /// `unsent` was read from the source before and goes first.
    init(unsent: [UInt8] = []) { rest = unsent }

    /// Nothing was passed on: neither a byte nor the FIN.
    var isUntouched: Bool { bytes == 0 && !isEnded }

    /// Bytes that wait for the target.
    var keptCount: Int { rest.count + (pipe?.count ?? 0) }

    /// Moves bytes until the source is empty, the target is full or `budget` bytes were read.
    mutating func move(
        from source: RelaySocket,
        to target: RelaySocket,
        through buffers: LoopBuffers,
        budget: Int,
        at now: Instant
    ) -> Outcome {
        let kept = keptCount
        defer {
            if pipe?.count == 0 { givePipeBack(to: buffers) }
            buffers.keptCount += keptCount - kept
        }
        var moved = 0
        while true {
            if let error = writeKept(to: target) { return .targetFailed(error) }
            guard keptCount == 0 else { return .waiting }
            if isEnded { return shut(target) }
            guard source.isReadable else { return .waiting }
            guard moved < budget else { return .more }
            let most = min(budget - moved, readSize(buffers))
            let result: IOResult
            if let pipe = takePipe(for: source, buffers, at: now) {
                result = source.read(into: pipe, atMost: most)
            } else {
                let buffer = unsafe UnsafeMutableRawBufferPointer(rebasing: buffers.relay[..<most])
                result = unsafe source.read(into: buffer)
                let read = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<result.count])
                if let error = unsafe write(read, to: target) { return .targetFailed(error) }
            }
            switch result {
            case .bytes(let count):
                moved += count
                note(count)
            case .endOfFile:
                source.isReadable = false
                if holdsEarlyEnd, bytes == 0 { return .endedEarly }
                isEnded = true
            case .wouldBlock:
                source.isReadable = false
            case .failed(let error):
                return .sourceFailed(error)
            }
        }
    }

    /// The relay has ended: lets go of what the target did not take.
    mutating func discard(_ buffers: LoopBuffers) {
        buffers.keptCount -= keptCount
        rest = []
        givePipeBack(to: buffers)
    }

    /// A target that may leave most of a read is not given much, and little when many are such.
    private func readSize(_ buffers: LoopBuffers) -> Int {
        if buffers.keptCount > buffers.keptCountMax { return Self.readMinimum }
        return isSlow ? Self.readSlow : LoopBuffers.relayCount
    }

    private static let readSlow = 64 * 1024
    private static let readMinimum = 16 * 1024

    private mutating func shut(_ target: RelaySocket) -> Outcome {
        guard !isShut else { return .waiting }
        do throws(SystemError) {
            // One that may have failed has to say so.
            if !isLast || target.isSuspect { try target.shutdownWriting() }
            isShut = true
            return .waiting
        } catch { return .targetFailed(error) }
    }
}

// MARK: - What is moved by pipe

extension RelayDirection {
    private static let largeRead = 32 * 1024
    private static let largeReadsMax = 8

    private mutating func note(_ count: Int) {
        if count >= Self.largeRead {
            largeReads = min(largeReads + 1, Self.largeReadsMax)
            if largeReads == Self.largeReadsMax { isBulky = true }
        } else {
            largeReads = max(largeReads - 1, 0)
            if largeReads == 0 { isBulky = false }
        }
    }

    /// The pipe to read into; nil when bytes are to be copied.
    ///
    /// They are where urgent ones may be, at which a pipe would stand still.
    private mutating func takePipe(
        for source: RelaySocket,
        _ buffers: LoopBuffers,
        at now: Instant
    ) -> RelayPipe? {
        guard isBulky, !source.readsToEnd else { return nil }
        if pipe == nil { pipe = buffers.pipes.take(at: now) }
        return pipe
    }

    private mutating func givePipeBack(to buffers: LoopBuffers) {
        if let pipe { buffers.pipes.give(pipe) }
        pipe = nil
    }
}

// MARK: - What the target takes

extension RelayDirection {
    /// What the target does not take is kept, also when it fails: it may go to another target.
    private mutating func write(
        _ read: UnsafeRawBufferPointer,
        to target: RelaySocket
    ) -> SystemError? {
        var offset = 0
        while offset < read.count {
            let left = unsafe UnsafeRawBufferPointer(rebasing: read[offset...])
            let result = unsafe target.write(left)
            if case .bytes(let count) = result {
                offset += count
                bytes += UInt64(count)
                continue
            }
            unsafe rest = Array(left)
            restStart = 0
            isSlow = true
            target.isWritable = false
            if case .failed(let error) = result { return error }
            return nil
        }
        if offset >= Self.readSlow { isSlow = false }
        return nil
    }

    private mutating func writeKept(to target: RelaySocket) -> SystemError? {
        writeRest(to: target) ?? drainPipe(to: target)
    }

    private mutating func writeRest(to target: RelaySocket) -> SystemError? {
        while !rest.isEmpty, target.isWritable {
            let result = unsafe rest.withUnsafeBytes { bytes in
                unsafe target.write(UnsafeRawBufferPointer(rebasing: bytes[restStart...]))
            }
            switch result {
            case .bytes(let count):
                restStart += count
                bytes += UInt64(count)
                if restStart == rest.count { (rest, restStart) = ([], 0) }
            case .wouldBlock, .endOfFile:
                target.isWritable = false
            case .failed(let error):
                return error
            }
        }
        return nil
    }

    private mutating func drainPipe(to target: RelaySocket) -> SystemError? {
        guard let pipe, pipe.count > 0 else { return nil }
        let wasFull = pipe.count >= Self.readSlow
        while pipe.count > 0, target.isWritable {
            switch target.write(from: pipe) {
            case .bytes(let count):
                bytes += UInt64(count)
            case .wouldBlock, .endOfFile:
                target.isWritable = false
                isSlow = true
            case .failed(let error):
                return error
            }
        }
        if pipe.count == 0, wasFull { isSlow = false }
        return nil
    }
}
