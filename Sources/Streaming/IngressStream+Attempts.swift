import Balancing
import NetworkModel
import Wire

// Which target is next, and what is asked of a server of this site.
extension IngressStream {
    mutating func next(_ turn: inout Turn) {
        become(.choosing)
        guard history.mayTryMore(timeouts, at: turn.now) else { return fail(&turn) }
        turn.act(.pick(excluding: history.excluded))
    }

    mutating func picked(_ pick: Pick?, _ isLocal: Bool, _ turn: inout Turn) {
        guard case .choosing = state else { return }
        guard let pick else {
            // Nobody is left: those that could not be reached may be in a moment, over another path.
            guard let pause = history.takePause() else { return fail(&turn) }
            return become(.waiting(until: turn.now + pause))
        }
        if isLocal {
            connect(LocalAttempt(pick: pick), &turn)
        } else {
            seek(Search(pick: pick), &turn)
        }
    }

    /// The target did not take it, and that speaks against the target.
    mutating func refused(_ pick: Pick, _ reason: FailoverReason, _ turn: inout Turn) {
        turn.act(.failed(pick, reason))
        history.refused(by: pick.site)
        next(&turn)
    }

    /// The target could not be asked.
    mutating func unreachable(_ pick: Pick, _ turn: inout Turn) {
        turn.act(.release(pick))
        history.didNotReach(pick.site)
        next(&turn)
    }

    /// The target has ended the connection for reasons of its own: all are candidates, itself included.
    mutating func again(_ pick: Pick, _ turn: inout Turn) {
        turn.act(.release(pick))
        next(&turn)
    }

    mutating func didOpen(_ pick: Pick, _ turn: inout Turn) {
        turn.act(.opened(pick))
        if history.openedAt == nil { turn.act(.count(.opened)) }
        history.openedAt = turn.now
    }

    // MARK: A server of this site

    private mutating func connect(_ attempt: LocalAttempt, _ turn: inout Turn) {
        become(.connecting(attempt))
        turn.act(.connect(excluding: attempt.resetBy))
    }

    mutating func notConnected(_ reason: Refused.Reason, _ turn: inout Turn) {
        guard case .connecting(let attempt) = state else { return }
        switch reason {
        case .connectTimeout: refused(attempt.pick, .connectTimeout, &turn)
        case .noEndpoint: refused(attempt.pick, .noEndpoints, &turn)
        case .overloaded: unreachable(attempt.pick, &turn)
        default: refused(attempt.pick, .connectRefused, &turn)
        }
    }

    mutating func connected(_ server: ServerPick, _ turn: inout Turn) {
        guard case .connecting(let attempt) = state else {
            return turn.act(.serverReleased(server))
        }
        become(.relaying(attempt, server))
        didOpen(attempt.pick, &turn)
    }

    mutating func cameBack(_ server: ServerPick, _ turn: inout Turn) {
        turn.act(.serverReleased(server))
        turn.act(.count(.refused))
        end(.client, &turn)
    }

    mutating func relayEnded(_ ending: RelayEnding, _ turn: inout Turn) {
        guard case .relaying(var attempt, let server) = state else { return }
        if case .server(isUntouched: true, _) = ending,
            history.wasOpenedJustNow(timeouts, at: turn.now)
        {
            turn.act(.serverFailed(server, .closedAtOnce))
        } else {
            // What a server does with the bytes that a client sent speaks against neither.
            turn.act(.serverReleased(server))
        }
        switch ending {
        case .finished: end(.finished, &turn)
        case .client: end(.client, &turn)
        case .cut(let hadBytes): end(.cut(hadBytes: hadBytes), &turn)
        case .server(let isUntouched, isReclaimed: false):
            end(.cut(hadBytes: !isUntouched), &turn)
        case .server:
            guard history.beginAnew(timeouts, at: turn.now) else {
                return again(attempt.pick, &turn)
            }
            // Another server of this site comes before another site.
            attempt.resetBy.append(server.endpoint)
            connect(attempt, &turn)
        }
    }
}
