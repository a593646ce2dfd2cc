import NetworkModel
import Wire

@testable import Streaming

/// Has a socket: the pump between it, the flow and the lane.
protocol ModelSocketOwner: ModelOwner {
    var network: ModelNetwork { get }
    var end: ModelEnd? { get }
    var flow: StreamFlow { get set }
    var socket: ModelSocket? { get }
    var isAcknowledgingSoon: Bool { get set }

    func socketFailed()
    func finished()
    func violated()
    func endOfSocket() -> Bool
}

extension ModelSocketOwner {
    var now: Instant { network.now }

    func follow() {
        var steps = flow.takeSteps()
        if steps.contains(.deliverFin) {
            socket?.hearEnd()
            flow.didDeliverFin(at: now)
            steps.formUnion(flow.takeSteps())
        }
        if steps.contains(.acknowledge) { acknowledge() }
        if steps.contains(.acknowledgeSoon) { isAcknowledgingSoon = true }
        if steps.contains(.finished) { finished() }
    }

    func acknowledge() {
        guard end?.side != nil else { return }
        let frame = flow.takeAcknowledgment(
            at: now,
            roundTrip: .milliseconds(1),
            mayGrow: network.windowsGrow
        )
        end?.send(.acknowledgment, frame.encoded)
    }

    func acknowledgeNow() {
        isAcknowledgingSoon = false
        if flow.acknowledgeNow() { acknowledge() }
    }

    /// Takes a frame of bytes, FIN or an acknowledgment; false when it is another.
    func flowReceives(_ frame: ModelFrame) -> Bool {
        do throws(StreamViolation) {
            switch frame.type {
            case .data: try receiveData(frame.payload)
            case .fin: try flow.receive(network.decode(Fin.self, frame))
            case .acknowledgment: try flow.receive(network.decode(Acknowledgment.self, frame))
            default: return false
            }
            follow()
        } catch {
            network.violate("\(error) of \(frame.type)")
            violated()
        }
        return true
    }

    private func receiveData(_ payload: [UInt8]) throws(StreamViolation) {
        let (offset, count) = (network.offset(payload), payload.count - DataFrame.headerSize)
        let known = try flow.receive(dataAt: offset, count: count, at: now)
        var rest = Array(payload[(DataFrame.headerSize + known)...])
        if flow.writesThrough, let socket, !rest.isEmpty {
            let taken = unsafe rest.withUnsafeBytes { unsafe socket.hear($0) }
            flow.didWrite(taken)
            rest.removeFirst(taken)
        }
        if !rest.isEmpty { rest.withRawSpan { flow.keep($0) } }
    }

    var canDrain: Bool {
        flow.isOpen && flow.hasSocket && !flow.receiver.pending.isEmpty
            && (socket?.closedInOrder == nil)
    }

    func drain() {
        guard let socket else { return }
        while !flow.receiver.pending.isEmpty, socket.appetite > 0 {
            _ = unsafe flow.drain(at: now) { unsafe socket.hear($0) }
        }
        follow()
    }

    func hasMore(on end: ModelEnd) -> Bool {
        guard flow.isOpen, end === self.end else { return false }
        return flow.isReadyToSend || (flow.sender.room > 0 && socket?.canGive == true)
    }

    func produce(on end: ModelEnd, atMost limit: Int) {
        guard flow.isOpen else { return }
        if !flow.isReadyToSend, flow.sender.room > 0, let socket, socket.canGive {
            if socket.given == socket.words.count {
                socket.giveEnd()
                if endOfSocket() { return socketFailed() }
            } else {
                _ = flow.fill(atMost: limit, at: now) { socket.give(into: $0) }
            }
        }
        end.sendFrames { buffer, label in
            if flow.appendData(atMost: limit, label: label, to: &buffer) == 0 {
                _ = flow.appendFin(label: label, to: &buffer)
            }
        }
        follow()
    }

    /// Law 4, and that nothing is said twice.
    var brokenFlow: String? {
        // First bytes were read before there was a window.
        let early = network.plan.isEarly ? WireLimit.early : 0
        let most = max(flow.receiver.window, Int(flow.sender.limit)) + early
        if flow.receiver.pending.count > flow.receiver.window {
            return "more waits than the window"
        }
        if flow.sender.ring.count > most { return "more is kept than the window" }
        return nil
    }

    var flowFingerprint: [UInt64] {
        let (sender, receiver) = (
            [
                flow.sender.ring.start, flow.sender.ring.end, flow.sender.sent, flow.sender.limit,
                flow.sender.finOffset ?? 99, flow.sender.isFinSent ? 1 : 0,
                flow.sender.isFinAcknowledged ? 1 : 0,
            ],
            [
                flow.receiver.pending.start, flow.receiver.pending.end, flow.receiver.granted,
                flow.receiver.finOffset ?? 99, flow.receiver.isFinDelivered ? 1 : 0,
                flow.receiver.owesAcknowledgment ? 1 : 0, UInt64(flow.receiver.missed),
                flow.receiver.hasFinArrived ? 1 : 0, flow.receiver.mustAcknowledge ? 1 : 0,
            ]
        )
        return sender + receiver + [
            flow.isOpen ? 1 : 0, flow.awaitsPath ? 1 : 0, isAcknowledgingSoon ? 1 : 0,
        ]
    }
}
