import Balancing
import NetworkModel
import Wire

@testable import Streaming

/// A client, and the state machine of its connection.
final class ModelIngress: ModelSocketOwner {
    unowned let network: ModelNetwork
    let client: ModelSocket
    private var stream: IngressStream
    private(set) var end: ModelEnd?
    /// On the path of a RESUME, until the answer.
    private var attempt: ModelEnd?
    private(set) var resumptions = 0
    private var asked: Open?
    var isAcknowledgingSoon = false
    /// Picks that were not given back.
    private(set) var picks: Set<UInt64> = []
    private(set) var counts: [ClientEvent: Int] = [:]
    private(set) var isGone = false
    /// Attempts.
    private(set) var opens = 0

    var flow: StreamFlow {
        _read { yield stream.flow }
        _modify { yield &stream.flow }
    }

    private var moves = 0

    init(_ network: ModelNetwork, words: [UInt8]) {
        self.network = network
        client = ModelSocket(words)
        let flow = StreamFlow(
            network.pool,
            window: network.window,
            hasSocket: true,
            at: network.now
        )
        stream = IngressStream(flow, timeouts: network.timeouts, at: network.now)
    }

    var socket: ModelSocket? { client }
    var ends: [ModelEnd] { [end, attempt].compactMap(\.self) }
    var state: IngressStream.State { stream.state }
    var nextDeadline: Instant? { stream.nextDeadline }
    var isUntouched: Bool { stream.flow.isUntouched }

    func start() {
        guard network.plan.isEarly else { return handle(.start) }
        handle(.listen(for: .milliseconds(20)))
        stream.flow.allowEarly()
        if client.given < client.words.count {
            _ = stream.flow.fillEarly { client.give(into: $0) }
        }
        if stream.flow.sender.hasRead { handle(.spoke) }
    }
    func deadline() { handle(.deadline) }
    /// To a better path, to a lane for bulk, to a better path, and back from bulk.
    func move() {
        moves += 1
        handle(moves % 2 == 0 ? .spread(isBulk: moves % 4 == 2) : .move)
    }

    var canMove: Bool {
        if case .open = state { true } else { false }
    }

    func pathLost(_ end: ModelEnd) {
        guard end === attempt else { return handle(.pathLost(grace: network.plan.grace)) }
        attempt = nil
        handle(.attemptLost)
    }

    func finished() { handle(.finished) }
    func violated() { handle(.violated) }

    func socketFailed() {
        client.hasFailed = true
        handle(.clientFailed)
    }

    func endOfSocket() -> Bool {
        stream.flow.endOfSocket(at: now)
        return false
    }

    func receive(_ frame: ModelFrame, on end: ModelEnd) {
        if end === attempt { return receiveAnswer(frame) }
        if flowReceives(frame) { return }
        switch frame.type {
        case .opened:
            let opened = network.decode(Opened.self, frame)
            handle(.opened(opened, isGenuine: true))
        case .refused:
            let refused = network.decode(Refused.self, frame)
            let isGenuine = refused.by == asked?.route.last
            handle(.refused(refused.reason, by: refused.by, isGenuine: isGenuine))
        case .reset: handle(.reset(network.decode(Reset.self, frame).reason))
        default: network.violate("\(frame.type) at the ingress")
        }
    }

    /// What comes to a RESUME.
    private func receiveAnswer(_ frame: ModelFrame) {
        switch frame.type {
        case .resumed:
            handle(.resumed(network.decode(Resumed.self, frame), isGenuine: true))
        case .refused:
            let refused = network.decode(Refused.self, frame)
            let isGenuine = refused.by == state.joined?.route.last
            attempt?.detach()
            attempt = nil
            handle(.refusedBack(refused.reason, isGenuine: isGenuine))
        case .reset:
            attempt?.detach()
            attempt = nil
            handle(.attemptLost)
        default: network.violate("\(frame.type) as the answer to RESUME")
        }
    }

    private func handle(_ input: IngressStream.Input) {
        let actions = stream.handle(input, at: now)
        for action in actions { carryOut(action) }
        follow()
    }

    private func carryOut(_ action: IngressStream.Action) {
        switch action {
        case .pick(let excluded):
            let pick = network.pick(excluding: excluded)
            if let pick { picks.insert(pick.number) }
            handle(.picked(pick, isLocal: false))
        case .seek(let pick, let tried): seek(pick, tried)
        case .seekBack(let joined, let tried): seekBack(joined, tried)
        case .takeOver:
            end?.leave()
            end = attempt
            attempt = nil
        case .dropAttempt: dropAttempt()
        case .resumed: resumptions += 1
        case .cancel: leave(saying: .cancel, [])
        case .reset(let reason): leave(saying: .reset, Reset(reason: reason).encoded)
        case .leave: leave(saying: nil, [])
        case .opened(let pick):
            if !picks.contains(pick.number) {
                network.violate("opened by a pick that was given back")
            }
        case .release(let pick), .failed(let pick, _), .lost(let pick):
            if picks.remove(pick.number) == nil { network.violate("a pick was given back twice") }
        case .wayAnswered(let way, let time):
            network.routes.answered(way, after: time, at: now)
        case .wayFailed(let way, let reason): network.routes.failed(way, reason: reason, at: now)
        case .wayAbandoned(let way): network.routes.abandoned(way)
        case .count(let event): counts[event, default: 0] += 1
        case .close(let isInOrder): close(inOrder: isInOrder)
        case .connect, .stopConnecting, .abortRelay, .serverReleased, .serverFailed:
            network.violate("no server is here")
        }
    }

    private func seek(_ pick: Pick, _ tried: Tried) {
        guard let ways = network.ways[pick.site] else { return handle(.noWay) }
        let excluded = tried.excluded(of: ways)
        let next = network.routes.pick(ways, turn: pick.number, excluding: excluded, at: now)
        guard let way = next else { return handle(.noWay) }
        let name = network.nextName()
        let end = ModelEnd(of: self, name)
        guard opens < network.opensMax,
            let side = network.side(from: network.ingress, to: way.route[0]),
            end.open(on: side)
        else { return handle(.unreachable(way)) }
        opens += 1
        let open = Open(
            name: name,
            service: network.service,
            route: way.route,
            target: pick.site,
            client: Endpoint(address: .v4(0x7F00_0001), port: 1),
            window: UInt32(stream.flow.receiver.window),
            isResumable: network.plan.grace > .zero
        )
        self.end = end
        asked = open
        network.note(name, self)
        var request = open
        if network.plan.isEarly { request.early = stream.flow.takeEarly() }
        end.send(.open, request.encoded)
        handle(.asked(way, patience: way.patience(roundTrip: .milliseconds(1))))
    }

    private func seekBack(_ joined: Joined, _ tried: Tried) {
        guard let ways = network.ways[joined.pick.site].map(joined.back), let name = asked?.name
        else { return handle(.noWay) }
        let excluded = tried.excluded(of: ways)
        let next = network.routes.pick(
            ways,
            turn: joined.pick.number,
            excluding: excluded,
            at: now
        )
        guard let way = next else { return handle(.noWay) }
        let attempt = ModelEnd(of: self, name)
        guard joined.epoch <= network.plan.epochsMax,
            let side = network.side(
                from: network.ingress,
                to: way.route[0],
                ratherThan: end?.side
            ), side !== end?.side, attempt.open(on: side)
        else { return handle(.unreachable(way)) }
        self.attempt = attempt
        let resume = Resume(
            name: name,
            epoch: joined.epoch,
            route: way.route,
            standing: stream.flow.receiver.standing
        )
        attempt.send(.resume, resume.encoded)
        let patience = way.patience(roundTrip: .milliseconds(1))
        handle(.askedBack(way, hadFin: resume.standing.hasFin, patience: patience))
    }

    private func dropAttempt() {
        attempt?.leave()
        attempt = nil
    }

    private func leave(saying type: FrameType?, _ payload: [UInt8]) {
        if let type {
            end?.send(type, payload)
            if type == .reset {
                attempt?.send(type, payload)
                attempt?.detach()
            }
        }
        forget()
    }

    private func forget() {
        dropAttempt()
        end?.detach()
        if let end { network.forget(end.name, self) }
        end = nil
        asked = nil
    }

    private func close(inOrder: Bool) {
        forget()
        client.close(inOrder: inOrder)
        isGone = true
    }

    var broken: String? {
        if let brokenFlow { return brokenFlow }
        let active = (counts[.opened] ?? 0) - (counts[.closed] ?? 0)
        if active < 0 || (counts[.opened] ?? 0) > 1 { return "counted \(counts)" }
        if isGone, active != 0 || !picks.isEmpty { return "left \(picks) picks, counted \(counts)" }
        return nil
    }

    private var setbacksFingerprint: [UInt64] {
        guard let setbacks = stream.history.setbacks else { return [] }
        return [
            UInt64(setbacks.failures), UInt64(setbacks.pauses), UInt64(setbacks.refused.count),
            UInt64(setbacks.unreached.count),
        ]
    }

    var fingerprint: [UInt64] {
        let history = stream.history
        let (kind, detail): (UInt64, [UInt64]) =
            switch state {
            case .listening: (11, [])
            case .choosing: (0, [])
            case .waiting: (1, [])
            case .connecting: (2, [])
            case .relaying: (3, [])
            case .seeking: (4, [])
            case .opening(let attempt):
                (5, [network.number(of: attempt.pick.site), attempt.isEarly ? 1 : 0])
            case .open(let joined): (6, [network.number(of: joined.pick.site)])
            case .returning: (8, [])
            case .resuming(_, let attempt): (9, [attempt.hadFin ? 1 : 0])
            case .detached: (10, [])
            case .ended: (7, [])
            }
        let epoch = UInt64(state.joined?.epoch ?? 0)
        return [kind, epoch, state.isDetached ? 1 : 0] + detail + flowFingerprint
            + client.fingerprint + [
                history.openedAt == nil ? 0 : 1, UInt64(opens),
            ] + setbacksFingerprint
    }
}
