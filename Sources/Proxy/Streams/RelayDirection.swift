/// One direction of a relay: from one socket to the other, through the loop's buffer.
struct RelayDirection {
    /// Bytes that were read and that the target did not take yet; empty most of the time.
    ///
    /// At most what one read gave: nothing is read while it is not empty.
    private(set) var rest: [UInt8]
    private var restStart = 0
    /// Bytes that the target took.
    private(set) var bytes: UInt64 = 0
    /// The target did not take all of the last read.
    private var isSlow = false
    /// The source's FIN was read.
    private(set) var isEnded = false
    /// The source's FIN was passed on.
    private(set) var isShut = false
    /// Whether a FIN before any byte is kept from the target.
    var holdsEarlyEnd = false

    enum Outcome {
        /// Nothing more to do until an event comes.
        case waiting
        /// The budget is used up: go on in the next turn.
        case more
        case sourceFailed(SystemError)
        /// The source's FIN came before any byte, and was not passed on.
        case endedEarly
        case targetFailed(SystemError)
    }

    /// `unsent` was read from the source before and goes first.
    init(unsent: [UInt8] = []) { rest = unsent }

    /// Nothing was passed on: neither a byte nor the FIN.
    var isUntouched: Bool { bytes == 0 && !isEnded }

    /// Moves bytes until the source is empty, the target is full or `budget` bytes were read.
    mutating func move(
        from source: RelaySocket,
        to target: RelaySocket,
        through buffers: LoopBuffers,
        budget: Int
    ) -> Outcome {
        let kept = rest.count
        defer { buffers.keptCount += rest.count - kept }
        var moved = 0
        while true {
            if let error = writeRest(to: target) { return .targetFailed(error) }
            guard rest.isEmpty else { return .waiting }
            if isEnded { return shut(target) }
            guard source.isReadable else { return .waiting }
            guard moved < budget else { return .more }
            let size = readSize(buffers)
            let buffer = unsafe UnsafeMutableRawBufferPointer(rebasing: buffers.relay[..<size])
            switch unsafe source.read(into: buffer) {
            case .bytes(let count):
                moved += count
                let read = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
                if let error = unsafe write(read, to: target) { return .targetFailed(error) }
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

    /// A target that may leave most of a read is not given much, and little when many are such.
    private func readSize(_ buffers: LoopBuffers) -> Int {
        if buffers.keptCount > Self.keptCountMax { return Self.readMinimum }
        return isSlow ? Self.readSlow : LoopBuffers.relayCount
    }

    private static let readSlow = 64 * 1024
    private static let readMinimum = 16 * 1024
    private static let keptCountMax = 64 << 20

    private mutating func shut(_ target: RelaySocket) -> Outcome {
        guard !isShut else { return .waiting }
        do throws(SystemError) {
            try target.shutdownWriting()
            isShut = true
            return .waiting
        } catch { return .targetFailed(error) }
    }

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
}
