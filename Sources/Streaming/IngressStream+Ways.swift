import Balancing
import NetworkModel
import Wire

// Which way to a server elsewhere is asked, and what an answer, or none, means.
extension IngressStream {
    /// How long an answer may be on its way once a connect at the egress has timed out.
    private static let answerTime: Duration = .milliseconds(500)

    mutating func seek(_ search: Search, _ turn: inout Turn) {
        become(.seeking(search))
        turn.act(.seek(search.pick, search.tried))
    }

    /// The same target over another way, while there is time for it.
    private mutating func seekAgain(_ search: Search, _ turn: inout Turn) {
        become(.seeking(search))
        guard history.hasTime(timeouts, at: turn.now) else { return noWay(&turn) }
        turn.act(.seek(search.pick, search.tried))
    }

    mutating func unreachable(_ way: WayPick, _ turn: inout Turn) {
        if case .returning(let recovery) = state { return unreachableBack(recovery, way, &turn) }
        guard case .seeking(var search) = state else { return }
        search.tried.routes.append(way.route)
        turn.act(.wayAbandoned(way))
        seek(search, &turn)
    }

    mutating func noWay(_ turn: inout Turn) {
        if case .returning(let recovery) = state { return noWayBack(recovery, &turn) }
        guard case .seeking(var search) = state else { return }
        switch search.otherwise {
        case .unreachable: unreachable(search.pick, &turn)
        case .refused(let reason): refused(search.pick, reason, &turn)
        case .draining:
            turn.act(.failed(search.pick, .draining))
            history.didNotReach(search.pick.site)
            next(&turn)
        case .patiently:
            search.tried = Tried()
            search.otherwise = .unreachable
            seekAgain(search, &turn)
        }
    }

    mutating func asked(_ way: WayPick, _ patience: Duration?, _ turn: inout Turn) {
        guard case .seeking(let search) = state else { return }
        // A living egress has said by then that its server is silent.
        let longest = timeouts.connect + min(timeouts.connect / 4, Self.answerTime)
        let mayTurnAway = flow.isUntouched
        var tried = search.tried
        tried.routes.append(way.route)
        become(
            .opening(
                Attempt(
                    pick: search.pick,
                    way: way,
                    tried: tried,
                    askedAt: turn.now,
                    limit: turn.now + (mayTurnAway ? min(longest, patience ?? longest) : longest),
                    isEarly: mayTurnAway && patience.map { $0 < longest } ?? false
                )
            )
        )
    }

    // MARK: Answers

    mutating func opened(_ answer: Opened, _ isGenuine: Bool, _ turn: inout Turn) {
        guard case .opening(let attempt) = state else { return broke(.protocolError, &turn) }
        guard isGenuine else {
            turn.act(.cancel)
            return lostOnTheWay(attempt, nil, &turn)
        }
        wayAnswered(attempt, &turn)
        if !answer.tookEarly { flow.takeBackEarly() }
        become(
            .open(
                Joined(
                    pick: attempt.pick,
                    route: attempt.way.route,
                    isResumable: answer.isResumable
                )
            )
        )
        didOpen(attempt.pick, &turn)
        flow.open(window: answer.window, askedAt: attempt.askedAt, at: turn.now)
    }

    mutating func refused(
        _ reason: Refused.Reason,
        by proxy: ProxyID,
        _ isGenuine: Bool,
        _ turn: inout Turn
    ) {
        guard case .opening(let attempt) = state else { return broke(.protocolError, &turn) }
        turn.act(.leave)
        // What a hop on the way says is no word of the target.
        guard isGenuine else {
            return lostOnTheWay(attempt, reason == .noRoute ? .linkLost : nil, &turn)
        }
        flow.takeBackEarly()
        if reason == .draining {
            turn.act(.wayFailed(attempt.way, .draining))
            return turnedAway(attempt, by: proxy, .draining, &turn)
        }
        wayAnswered(attempt, &turn)
        flow.restart()
        switch reason {
        case .connectRefused: refused(attempt.pick, .connectRefused, &turn)
        case .connectTimeout: refused(attempt.pick, .connectTimeout, &turn)
        case .notAllowed: refused(attempt.pick, .notAllowed, &turn)
        case .noEndpoint, .noService:
            turnedAway(attempt, by: proxy, .refused(.noEndpoints), &turn)
        default: unreachable(attempt.pick, &turn)
        }
    }

    private func wayAnswered(_ attempt: Attempt, _ turn: inout Turn) {
        turn.act(.wayAnswered(attempt.way, after: turn.now - attempt.askedAt))
    }

    /// One gateway of the target takes nothing for this service: what it says is no word of the others, which are asked first.
    private mutating func turnedAway(
        _ attempt: Attempt,
        by gateway: ProxyID,
        _ otherwise: Search.Otherwise,
        _ turn: inout Turn
    ) {
        flow.restart()
        var tried = attempt.tried
        tried.gateways.append(gateway)
        seekAgain(Search(pick: attempt.pick, tried: tried, otherwise: otherwise), &turn)
    }

    /// The attempt got lost on its way, for `reason` (nil: it was lost, which routing knows): another way, or the target
    /// could not be asked.
    mutating func lostOnTheWay(
        _ attempt: Attempt,
        _ reason: FailoverReason?,
        _ turn: inout Turn
    ) {
        turn.act(reason.map { .wayFailed(attempt.way, $0) } ?? .wayAbandoned(attempt.way))
        guard flow.isUntouched else { return giveUp(attempt, nil, &turn) }
        flow.restart()
        seekAgain(Search(pick: attempt.pick, tried: attempt.tried), &turn)
    }

    /// The client's first bytes may have come to a server: nobody else is given them.
    private mutating func giveUp(
        _ attempt: Attempt,
        _ reason: FailoverReason?,
        _ turn: inout Turn
    ) {
        become(.choosing)
        turn.act(reason.map { .failed(attempt.pick, $0) } ?? .release(attempt.pick))
        fail(&turn)
    }

    mutating func timedOut(_ attempt: Attempt, _ turn: inout Turn) {
        turn.act(.cancel)
        turn.act(.wayFailed(attempt.way, .connectTimeout))
        guard flow.isUntouched else { return giveUp(attempt, .connectTimeout, &turn) }
        flow.restart()
        // Silence on one way is no word of the target; while other ways were left, none of the way that was tried either.
        let otherwise: Search.Otherwise =
            attempt.isEarly ? .patiently : .refused(.connectTimeout)
        seekAgain(
            Search(pick: attempt.pick, tried: attempt.tried, otherwise: otherwise),
            &turn
        )
    }
}
