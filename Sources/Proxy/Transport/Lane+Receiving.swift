import NetworkModel
import TLS
import Wire

/// From the socket to the delegate.
extension Lane {
    /// Bytes read in one turn before other sockets have their turn.
    private static let budget = 2 * LoopBuffers.readCount

    /// Reads until the socket is empty or the budget is used up.
    func receive() {
        var count = 0
        while isReadable, registration != nil {
            guard count < Self.budget else {
                if let registration { loop.resume(registration) }
                return
            }
            switch unsafe socket?.read(into: loop.buffers.read) ?? .wouldBlock {
            case .bytes(let read):
                count += read
                mayHoldFrames = false
                // Nothing was left: epoll tells when more has come. Most reads are such.
                if read < LoopBuffers.readCount, !readsToEnd { isReadable = false }
                liveness.lastReceived = loop.now
                unsafe take(UnsafeRawBufferPointer(rebasing: loop.buffers.read[..<read]))
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
        // Frames that came with those that another loop delivered.
        if mayHoldFrames, isEstablished {
            mayHoldFrames = false
            takeRest()
        }
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
        } else if progress.isEnded {
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
            // In TLS 1.3 a dialler learns what the acceptor thinks of its certificate only after its own handshake.
            if framesReceived == 0, case .alert = failure { return end(.handshake(failure)) }
            end(.violation("\(failure)"))
        }
    }

    private func establish() {
        guard let neighbor = session?.neighbor else { return }
        cancelTimers()
        self.neighbor = neighbor
        state = .established
        if let expectedSite, neighbor.site != expectedSite {
            let text = "the dialler expects site \(expectedSite), this is site \(neighbor.site)"
            return close(
                saying: LaneClosing(.siteIDMismatch, text),
                as: .unexpectedSite(neighbor)
            )
        }
        startLiveness()
        delegate?.laneEstablished(self)
    }

    /// Delivers every whole frame and keeps the rest.
    private func deliver(_ plaintext: UnsafeRawBufferPointer) {
        var offset = 0
        isDelivering = true
        while case .established = state, handover == nil,
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
        }
        isDelivering = false
        guard isEstablished else { return partial = [] }
        if offset == plaintext.count {
            if !partial.isEmpty { partial = [] }
        } else {
            unsafe partial = Array(UnsafeRawBufferPointer(rebasing: plaintext[offset...]))
        }
        if handover != nil { leave() }
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
