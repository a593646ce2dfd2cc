import Balancing
import NetworkModel
import Wire

// What ends a stream, and what its end means.
extension IngressStream {
    enum Ending {
        case finished
        /// The client reset its connection or vanished.
        case client
        /// The target or the path was lost.
        case lost(hadBytes: Bool)
        /// This proxy cut it, or found no other target for one that had been open.
        case cut(hadBytes: Bool)

        var isInterruption: Bool {
            switch self {
            case .lost(let hadBytes), .cut(let hadBytes): hadBytes
            default: false
            }
        }
    }

    mutating func wasReset(_ reason: Reset.Reason, _ turn: inout Turn) {
        switch state {
        case .opening(let attempt):
            turn.act(.leave)
            lostOnTheWay(attempt, nil, &turn)
        case .open, .returning, .resuming, .detached:
            // It stood still for longer than its egress lets it: nothing is lost, nor to be tried elsewhere.
            if reason == .idle { return end(.cut(hadBytes: true), &turn) }
            guard let pick = state.pick, reason == .endpoint else {
                return lose(&turn)
            }
            // A server that resets an exchange ends it as it likes: nothing was lost with its site.
            guard flow.isUntouched else { return end(.cut(hadBytes: true), &turn) }
            leave(&turn)
            // The servers took it and reset it: at once, or when it had been idle for a while.
            if history.beginAnew(timeouts, at: turn.now) {
                refused(pick, .connectRefused, &turn)
            } else {
                again(pick, &turn)
            }
        default: break
        }
    }

    /// What was exchanged cannot go on.
    mutating func lose(_ turn: inout Turn) {
        guard let pick = state.pick, flow.isUntouched else {
            return end(.lost(hadBytes: true), &turn)
        }
        leave(&turn)
        _ = history.beginAnew(timeouts, at: turn.now)
        unreachable(pick, &turn)
    }

    /// Back to where another stream could be opened.
    private mutating func leave(_ turn: inout Turn) {
        flow.restart()
        if case .resuming(_, let attempt) = state { turn.act(.wayAbandoned(attempt.way)) }
        turn.act(.leave)
    }

    /// This end gives the stream up for a fault of the path's.
    mutating func broke(_ reason: Reset.Reason, _ turn: inout Turn) {
        switch state {
        case .opening, .open, .returning, .resuming, .detached:
            turn.act(.reset(reason))
            wasReset(reason, &turn)
        default: break
        }
    }

    /// Nobody has to be waited for who is gone.
    mutating func proxiesEnded(_ ended: Set<ProxyID>, _ turn: inout Turn) {
        let egress: ProxyID? =
            if case .opening(let attempt) = state {
                attempt.way.route.last
            } else {
                state.joined?.egress
            }
        guard let egress, ended.contains(egress) else { return }
        broke(.pathLost, &turn)
    }

    mutating func clientFailed(_ turn: inout Turn) {
        // A failure is told once: whoever swallows it takes what follows for an orderly end.
        if giveUp(.endpoint, cancelsUntouched: true, &turn) { end(.client, &turn) }
    }

    mutating func shutDown(_ turn: inout Turn) {
        let wasOpen = history.openedAt != nil
        if giveUp(.shutdown, cancelsUntouched: false, &turn) {
            end(.cut(hadBytes: wasOpen), &turn)
        }
    }

    /// Tells whoever works on this stream; false when the end comes by itself, or has come.
    private mutating func giveUp(
        _ reason: Reset.Reason,
        cancelsUntouched: Bool,
        _ turn: inout Turn
    ) -> Bool {
        switch state {
        case .listening, .choosing, .waiting, .seeking: break
        case .connecting: turn.act(.stopConnecting)
        case .relaying:
            // Ends in `relayEnded`.
            turn.act(.abortRelay)
            return false
        case .opening: turn.act(.cancel)
        case .open:
            turn.act(cancelsUntouched && flow.isUntouched ? .cancel : .reset(reason))
        case .returning, .resuming, .detached: turn.act(.reset(reason))
        case .ended: return false
        }
        return true
    }

    mutating func deadlinePassed(_ turn: inout Turn) {
        // Bytes that moved meanwhile put the limit off; nobody sets a timer per byte.
        guard let limit = nextDeadline, limit <= turn.now else { return }
        switch state {
        case .listening, .waiting: next(&turn)
        case .opening(let attempt): timedOut(attempt, &turn)
        case .resuming(let recovery, let attempt): timedOutBack(recovery, attempt, &turn)
        case .detached: retry(&turn)
        case .open:
            turn.act(.reset(.idle))
            end(.cut(hadBytes: true), &turn)
        default: break
        }
    }

    /// No target took it, or none after the one that lost it.
    mutating func fail(_ turn: inout Turn) {
        guard history.openedAt == nil else { return end(.cut(hadBytes: true), &turn) }
        turn.act(.count(.failed))
        end(.client, &turn)
    }

    mutating func end(_ ending: Ending, _ turn: inout Turn) {
        let last = state
        become(.ended)
        flow.close()
        var isInOrder = false
        if case .finished = ending { isInOrder = true }
        switch last {
        case .opening(let attempt): turn.act(.wayAbandoned(attempt.way))
        case .resuming(_, let attempt): turn.act(.wayAbandoned(attempt.way))
        default: break
        }
        turn.act(.close(inOrder: isInOrder))
        if let pick = last.pick {
            if case .lost = ending { turn.act(.lost(pick)) } else { turn.act(.release(pick)) }
        }
        if ending.isInterruption { turn.act(.count(.interrupted)) }
        if history.openedAt != nil { turn.act(.count(.closed)) }
    }
}

extension IngressStream.State {
    /// The target whose connection is counted.
    var pick: Pick? {
        switch self {
        case .listening, .choosing, .waiting, .ended: nil
        case .connecting(let attempt), .relaying(let attempt, _): attempt.pick
        case .seeking(let search): search.pick
        case .opening(let attempt): attempt.pick
        case .open, .returning, .resuming, .detached: joined?.pick
        }
    }

    /// The stream that a server elsewhere has taken.
    package var joined: Joined? {
        switch self {
        case .open(let joined): joined
        case .returning(let recovery), .resuming(let recovery, _), .detached(let recovery, _):
            recovery.joined
        default: nil
        }
    }

    /// Without a path.
    package var isDetached: Bool {
        switch self {
        case .returning(let recovery), .resuming(let recovery, _), .detached(let recovery, _):
            recovery.until != nil
        default: false
        }
    }
}
