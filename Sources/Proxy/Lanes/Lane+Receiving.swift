import NetworkModel
import TLS
import Wire

/// From the socket to the delegate.
extension Lane {
    /// Bytes read in one turn before other sockets have their turn.
    private static let budget = LoopBuffers.readCount
    /// Frames between two looks at the clock: each may open or close a socket.
    private static let framesPerLook = 2

    /// Something came for which its site has no time left in this turn.
    var isPutOff: Bool { registration.map(loop.isPutOff) ?? false }

    /// Reads until the socket is empty, the budget is used up or the owner wants no more.
    func receive() {
        var count = 0
        guard deliverRest() else { return }
        while isReadable, registration != nil, !isPaused {
            guard count < Self.budget else {
                if let registration { loop.resume(registration) }
                return
            }
            switch unsafe socket?.read(into: loop.buffers.read) ?? .wouldBlock {
            case .bytes(let read):
                count += read
                receivedBytes += UInt64(read)
                // Nothing was left: epoll tells when more has come. Most reads are such.
                if read < LoopBuffers.readCount, !readsToEnd { isReadable = false }
                liveness.lastReceived = loop.now
                unsafe take(UnsafeRawBufferPointer(rebasing: loop.buffers.read[..<read]))
                // What was read is delivered before more is read: `partial` stays as short as one read.
                if mayHoldFrames { return }
            case .wouldBlock:
                isReadable = false
            case .endOfFile:
                isReadable = false
                endOfInput()
            case .failed(let error):
                isReadable = false
                end(.connection(error))
            }
        }
    }

    /// Delivers frames that were read before; false when there are still some.
    private func deliverRest() -> Bool {
        guard mayHoldFrames else { return true }
        guard isEstablished else {
            mayHoldFrames = false
            return true
        }
        guard !isPaused else { return false }
        mayHoldFrames = false
        takeRest()
        return !mayHoldFrames
    }

    private func endOfInput() {
        switch state {
        case .handshaking: end(.handshake(.ended))
        case .closing(let reason): end(reason)
        case .established, .lingering, .connecting, .ended: end(.ended)
        }
    }

    /// Decrypts behind what was left of the frame before, so that frames lie in one piece.
    private func take(_ input: UnsafeRawBufferPointer) {
        if case .lingering = state { return }
        isDelivering = true
        let plaintext = unsafe loop.buffers.plaintext
        let kept = partial.count
        unsafe partial.withUnsafeBytes { unsafe plaintext.copyMemory(from: $0) }
        let output = loop.buffers.ciphertext
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: plaintext[kept...])
        guard
            let progress = unsafe session?.process(input, plaintext: room, output: output)
        else { return isDelivering = false }
        sendRecords()
        if case .handshaking = state, session?.neighbor != nil { establish() }
        let count = kept + progress.plaintextCount
        unsafe deliver(UnsafeRawBufferPointer(rebasing: plaintext[..<count]))
        if let failure = progress.failure {
            fail(failure)
        } else if progress.isEnded, !mayHoldFrames {
            endOfInput()
        }
    }

    private func takeRest() {
        let plaintext = unsafe loop.buffers.plaintext
        let count = partial.count
        unsafe partial.withUnsafeBytes { unsafe plaintext.copyMemory(from: $0) }
        unsafe deliver(UnsafeRawBufferPointer(rebasing: plaintext[..<count]))
    }

    private func fail(_ failure: TLSError) {
        switch state {
        case .handshaking: end(.handshake(failure))
        case .closing(let reason): end(reason)
        default:
            // In TLS 1.3 a dialer learns what the acceptor thinks of its certificate only after its own handshake.
            if framesReceived == 0, case .alert = failure { return end(.handshake(failure)) }
            end(.violation("\(failure)"))
        }
    }

    private func establish() {
        guard let neighbor = session?.neighbor else { return }
        cancelTimers()
        self.neighbor = neighbor
        state = .established
        if let expectedSites, !expectedSites.contains(neighbor.site) {
            let expected = expectedSites.map(\.text).sorted().joined(separator: " or ")
            let text = "the dialer expects site \(expected), this is site \(neighbor.site)"
            return close(
                saying: LaneClosing(.siteIDMismatch, text),
                as: .unexpectedSite(neighbor)
            )
        }
        startLiveness()
        delegate?.laneEstablished(self)
    }

    /// Delivers whole frames, for as long as one step may last and while the owner wants them, and keeps the rest: small ones
    /// cost more than their bytes tell.
    private func deliver(_ plaintext: UnsafeRawBufferPointer) {
        var offset = 0
        var frames = 0
        let stop = EventLoop.clock() + loop.stepTime
        isDelivering = true
        while case .established = state, handover == nil, !isPaused,
            plaintext.count - offset >= FrameHeader.size
        {
            let header = unsafe Self.header(plaintext, at: offset)
            guard header.length <= FrameHeader.maximumPayload else {
                violate("a frame of \(header.length) bytes")
                break
            }
            let start = offset + FrameHeader.size
            guard plaintext.count - start >= header.length else { break }
            offset = start + header.length
            let payload = unsafe UnsafeRawBufferPointer(rebasing: plaintext[start..<offset])
            deliver(header, unsafe payload.bytes)
            frames += 1
            guard frames % Self.framesPerLook == 0 else { continue }
            let now = EventLoop.clock()
            loop.breathe(at: now)
            if now >= stop { break }
        }
        isDelivering = false
        guard isEstablished else { return partial = [] }
        unsafe keep(plaintext, from: offset)
        if handover != nil { leave() }
    }

    private func keep(_ plaintext: UnsafeRawBufferPointer, from offset: Int) {
        guard offset < plaintext.count else {
            if !partial.isEmpty { partial = [] }
            return
        }
        unsafe partial = Array(UnsafeRawBufferPointer(rebasing: plaintext[offset...]))
        guard partial.count >= FrameHeader.size, handover == nil else { return }
        let length = unsafe partial.withUnsafeBytes { unsafe Self.header($0, at: 0).length }
        mayHoldFrames = partial.count - FrameHeader.size >= length
        if mayHoldFrames, !isPaused, let registration { loop.resume(registration) }
    }

    private static func header(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> FrameHeader {
        let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        return FrameHeader(word: UInt64(bigEndian: word))
    }

    private func deliver(_ header: FrameHeader, _ payload: RawSpan) {
        framesReceived += 1
        do throws(WireError) {
            switch header.type {
            case FrameType.heartbeat.rawValue:
                liveness.received(try Heartbeat.decode(payload), at: loop.now)
            case FrameType.close.rawValue:
                end(.closedByNeighbor(try LaneClosing.decode(payload)))
            default:
                delegate?.lane(
                    self,
                    received: header.type,
                    label: header.label,
                    payload: payload
                )
            }
        } catch {
            violate("\(error)")
        }
    }

    private func violate(_ what: String) {
        close(saying: LaneClosing(.protocolError, what), as: .violation(what))
    }
}
