import Balancing
import NetworkModel
import Wire

@testable import Streaming

/// A stream in transit.
final class ModelTransit: ModelOwner {
    unowned let network: ModelNetwork
    private var stream: TransitStream
    let name: StreamName
    private(set) lazy var inner = ModelEnd(of: self, name)
    private(set) lazy var outer = ModelEnd(of: self, name)

    init(_ open: Open, at proxy: ProxyID, _ network: ModelNetwork) {
        self.network = network
        name = open.name
        stream = TransitStream(
            open,
            isSigner: false,
            through: proxy,
            pool: network.pool,
            limit: network.now + .seconds(65)
        )
    }

    init(_ resume: Resume, at proxy: ProxyID, _ network: ModelNetwork) {
        self.network = network
        name = resume.name
        stream = TransitStream(
            resume,
            isSigner: false,
            through: proxy,
            pool: network.pool,
            limit: network.now + .seconds(65)
        )
    }

    var ends: [ModelEnd] { [inner, outer] }
    var nextDeadline: Instant? { stream.nextDeadline }
    func deadline() { handle(.deadline, on: .outer) }

    private func leg(_ end: ModelEnd) -> TransitStream.Leg { end === inner ? .inner : .outer }
    private func end(_ leg: TransitStream.Leg) -> ModelEnd { leg == .inner ? inner : outer }

    private func handle(_ input: TransitStream.Input, on leg: TransitStream.Leg) {
        carryOut(stream.handle(input, on: leg, at: network.now))
    }

    private func carryOut(_ actions: [TransitStream.Action]) {
        for action in actions {
            switch action {
            case .opened(let opened, let leg): end(leg).send(.opened, opened.encoded)
            case .refused(let refused, let leg): end(leg).send(.refused, refused.encoded)
            case .resumed(let resumed, let leg): end(leg).send(.resumed, resumed.encoded)
            case .detached(let leg): end(leg).leave()
            case .cancelled(let leg): end(leg).send(.cancel)
            case .reset(let reason, let leg):
                end(leg).send(.reset, Reset(reason: reason).encoded)
            case .end:
                inner.detach()
                outer.detach()
                network.remove(self)
            }
        }
    }

    func pathLost(_ end: ModelEnd) { handle(.pathLost, on: leg(end)) }

    func receive(_ frame: ModelFrame, on end: ModelEnd) {
        let leg = leg(end)
        do throws(StreamViolation) {
            switch frame.type {
            case .data:
                let count = frame.payload.count - DataFrame.headerSize
                let offset = network.offset(frame.payload)
                try stream.receive(dataAt: offset, count: count, on: leg)
                let bytes = Array(frame.payload[DataFrame.headerSize...])
                bytes.withRawSpan { stream.keep($0, on: leg) }
            case .fin: try stream.receive(network.decode(Fin.self, frame), on: leg)
            case .acknowledgment:
                let frame = network.decode(Acknowledgment.self, frame)
                guard try stream.receive(frame, on: leg, isScarce: network.isScarce) else {
                    return self.end(leg.other).owesAcknowledgment = true
                }
                for leg in TransitStream.Leg.allCases { passOn(leg) }
                carryOut(stream.finish())
            case .opened:
                let opened = network.decode(Opened.self, frame)
                handle(.opened(opened, isGenuine: true), on: leg)
            case .resumed:
                let resumed = network.decode(Resumed.self, frame)
                handle(.resumed(resumed, isGenuine: true), on: leg)
            case .refused:
                let refused = network.decode(Refused.self, frame)
                handle(.refused(refused, isGenuine: true), on: leg)
            case .cancel: handle(.cancelled, on: leg)
            case .reset: handle(.reset(network.decode(Reset.self, frame).reason), on: leg)
            default: network.violate("\(frame.type) in transit")
            }
        } catch {
            network.violate("\(error) in transit")
            handle(.violated, on: leg)
        }
    }

    private func passOn(_ leg: TransitStream.Leg) {
        end(leg).owesAcknowledgment = false
        guard let frame = stream.takeAcknowledgment(leavingBy: leg) else { return }
        end(leg).send(.acknowledgment, frame.encoded)
    }

    func hasMore(on end: ModelEnd) -> Bool {
        guard case .open = stream.state else { return false }
        return end.owesAcknowledgment || stream.hasMore(leavingBy: leg(end))
    }

    func produce(on end: ModelEnd, atMost limit: Int) {
        let leg = leg(end)
        if end.owesAcknowledgment { passOn(leg) }
        end.sendFrames { buffer, label in
            _ = stream.produce(into: &buffer, limit: 65_536, label: label, leavingBy: leg)
        }
    }

    var broken: String? {
        UInt64(stream.keptCount) > stream.allowedCount ? "a hop keeps more than it let pass" : nil
    }

    var fingerprint: [UInt64] {
        let kind: UInt64 =
            switch stream.state {
            case .opening: 0
            case .resuming: 3
            case .open: 1
            case .ended: 2
            }
        return [
            kind, UInt64(stream.keptCount), stream.allowedCount,
            inner.owesAcknowledgment ? 1 : 0, outer.owesAcknowledgment ? 1 : 0,
        ]
    }
}

/// A stream's end at a server.
final class ModelEgress: ModelSocketOwner {
    unowned let network: ModelNetwork
    let proxy: ProxyID
    private var stream: EgressStream
    private(set) lazy var ownEnd = ModelEnd(of: self, name)
    var name: StreamName { stream.name }
    private(set) var socket: ModelSocket?
    /// A server that is being connected to.
    private(set) var connecting: ServerPick?
    private var hasNoServer = false
    var isAcknowledgingSoon = false

    var flow: StreamFlow {
        _read { yield stream.flow }
        _modify { yield &stream.flow }
    }

    init(_ open: Open, at proxy: ProxyID, _ network: ModelNetwork) {
        self.network = network
        self.proxy = proxy
        let flow = StreamFlow(
            network.pool,
            window: network.window,
            hasSocket: false,
            at: network.now
        )
        stream = EgressStream(open, flow, timeouts: network.timeouts)
        // A small window has no room for all: then none is taken.
        try? stream.keepEarly(open.early)
        network.note(open.name, self)
    }

    var end: ModelEnd? { ownEnd }
    var ends: [ModelEnd] { [ownEnd] }
    var nextDeadline: Instant? { stream.nextDeadline }
    func deadline() { handle(.deadline) }
    func start() { handle(.start) }
    func pathLost(_ end: ModelEnd) { handle(.pathLost(grace: network.plan.grace)) }

    /// Goes on over that side of a lane; the reason why not.
    func resume(_ request: Resume, on side: ModelSide, label: UInt32) -> Refused.Reason? {
        switch stream.resume(request, at: proxy) {
        case .refused(let reason): return reason
        case .impossible:
            network.violate("an impossible RESUME")
            handle(.violated)
            return .unknownStream
        case .resumed(var answer):
            answer.mac = Array(repeating: 0, count: WireLimit.mac)
            ownEnd.leave()
            ownEnd = ModelEnd(of: self, name)
            ownEnd.accept(on: side, label: label)
            ownEnd.send(.resumed, answer.encoded)
            follow()
            return nil
        }
    }
    func finished() { handle(.finished) }
    func violated() { handle(.violated) }

    func socketFailed() {
        socket?.hasFailed = true
        handle(.serverFailed)
    }

    func endOfSocket() -> Bool { stream.endOfSocket(at: now) }

    func receive(_ frame: ModelFrame, on end: ModelEnd) {
        if flowReceives(frame) { return }
        switch frame.type {
        case .cancel: handle(.cancelled)
        case .reset: handle(.reset(network.decode(Reset.self, frame).reason))
        default: network.violate("\(frame.type) at the egress")
        }
    }

    var isConnecting: Bool { connecting != nil || hasNoServer }

    /// The connect that is under way is over.
    func connected(_ accepts: Bool) {
        guard let pick = connecting.take() else {
            hasNoServer = false
            return handle(.notConnected(.noEndpoint))
        }
        guard accepts else {
            network.withServers(proxy) { $0.failed(pick, .refused, at: now) }
            return handle(.notConnected(.connectRefused))
        }
        network.withServers(proxy) { $0.opened(pick, at: now) }
        socket = network.makeServer(for: stream.name)
        handle(.connected(pick))
        drain()
    }

    private func handle(_ input: EgressStream.Input) {
        for action in stream.handle(input, at: now) { carryOut(action) }
        follow()
    }

    private func carryOut(_ action: EgressStream.Action) {
        switch action {
        case .connect(let excluded, _):
            connecting = network.withServers(proxy) { $0.pick(excluding: excluded, at: now) }
            hasNoServer = connecting == nil
        case .stopConnecting:
            if let pick = connecting.take() { network.withServers(proxy) { $0.release(pick) } }
            hasNoServer = false
        case .dropServer: socket?.close(inOrder: false)
        case .answer:
            let opened = Opened(
                egress: proxy,
                window: UInt32(flow.receiver.window),
                mac: Array(repeating: 0, count: WireLimit.mac),
                isResumable: stream.isResumable,
                tookEarly: stream.tookEarly
            )
            ownEnd.send(.opened, opened.encoded)
        case .refuse(let reason):
            ownEnd.send(.refused, Refused(by: proxy, reason: reason).encoded)
        case .reset(let reason):
            ownEnd.send(.reset, Reset(reason: reason).encoded)
            ownEnd.detach()
        case .bury(let verdict): network.verdicts[stream.name] = verdict
        case .serverReleased(let pick): network.withServers(proxy) { $0.release(pick) }
        case .serverFailed(let pick, let fault):
            network.withServers(proxy) { $0.failed(pick, fault, at: now) }
        case .close(let isInOrder):
            ownEnd.detach()
            socket?.close(inOrder: isInOrder)
            network.forget(stream.name, self)
            network.remove(self)
        }
    }

    var broken: String? { brokenFlow }

    var fingerprint: [UInt64] {
        let kind: UInt64 =
            switch stream.state {
            case .connecting: 0
            case .open: 1
            case .replacing: 2
            case .ended: 3
            }
        return [kind, isConnecting ? 1 : 0, stream.isDetached ? 1 : 0] + flowFingerprint
            + (socket?.fingerprint ?? [])
    }
}

extension TransitStream {
    /// Whether bytes or a FIN wait for a turn of `leg`.
    fileprivate func hasMore(leavingBy leg: Leg) -> Bool {
        switch leg {
        case .inner: inner.hasMore
        case .outer: outer.hasMore
        }
    }
}

extension TransitDirection {
    fileprivate var hasMore: Bool { !queue.isEmpty || (finOffset != nil && !isFinSent) }
}
