import Streaming
import Wire

/// From the carrier to the socket.
extension SocketStream {
    /// Writes what waits.
    func drainPending() {
        while !receiver.pending.isEmpty {
            var result = IOResult.wouldBlock
            _ = unsafe receiver.drain { bytes in
                result = unsafe socket?.write(bytes) ?? .wouldBlock
                return result.count
            }
            switch result {
            case .bytes:
                lastMoved = engine.loop.now
                silence.wrote(at: lastMoved)
            case .wouldBlock, .endOfFile:
                isWritable = false
                acknowledgeIfDue()
                return
            case .failed: return socketFailed()
            }
        }
        acknowledgeIfDue()
        deliverFinIfDue()
    }

    func deliverFinIfDue() {
        // Without a socket (a server is being replaced) it waits like the bytes before it.
        guard receiver.isFinDue, socket != nil else { return }
        do throws(SystemError) {
            try socket?.shutdownWriting()
        } catch {
            return socketFailed()
        }
        receiver.didDeliverFin()
        lastMoved = engine.loop.now
        silence.wrote(at: lastMoved)
        directionEnded()
        acknowledgeIfDue()
        finishIfDone()
    }

    func acknowledgeIfDue() {
        if receiver.isAcknowledgmentDue {
            let frame = takeAcknowledgment()
            carrier?.conduit.send(.acknowledgment, label: label) { frame.encode(into: &$0) }
        } else if receiver.owesAcknowledgment, !owesLazily {
            // So that the sender's ring is not held for long by the last bytes of a burst.
            owesLazily = true
            engine.acknowledgeLazily(self)
        }
    }

    /// What `acknowledgeLazily` asked for.
    func acknowledgeNow() {
        owesLazily = false
        guard receiver.owesAcknowledgment, isAttached else { return }
        let frame = takeAcknowledgment()
        carrier?.conduit.send(.acknowledgment, label: label) { frame.encode(into: &$0) }
    }

    func takeAcknowledgment() -> Acknowledgment {
        let before = receiver.window
        let frame = receiver.takeAcknowledgment(
            at: engine.loop.now,
            roundTrip: carrier?.conduit.roundTrip ?? .milliseconds(1),
            mayGrow: engine.mayGrow(before, in: receiver.pending.pool)
        )
        if receiver.window > before { engine.windowGranted(receiver.window - before) }
        return frame
    }
}
