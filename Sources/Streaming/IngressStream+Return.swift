package import Balancing
package import NetworkModel
import Wire

// How a stream goes back to its egress over another path: because it has lost its own, or because a better one is there.
extension IngressStream {
    /// How long an answer of the egress is waited for on a way that is known to lead somewhere.
    private static let patience: Duration = .seconds(1)
    /// The same while the path that there is carries on.
    private static let movePatience: Duration = .seconds(5)

    mutating func pathLost(_ grace: Duration, _ turn: inout Turn) {
        if case .opening(let attempt) = state {
            turn.act(.leave)
            return lostOnTheWay(attempt, nil, &turn)
        }
        guard let joined = state.joined else { return }
        // Nobody has noticed anything: any target will do.
        guard !flow.isUntouched, joined.isResumable, grace > .zero else {
            return lose(&turn)
        }
        let until = turn.now + grace
        switch state {
        case .open: seekBack(Recovery(joined, until: until), &turn)
        case .returning(var recovery):
            recovery.until = until
            become(.returning(recovery))
        case .resuming(var recovery, let attempt):
            recovery.until = until
            become(.resuming(recovery, attempt))
        default: break
        }
    }

    mutating func move(_ turn: inout Turn) {
        guard case .open(let joined) = state, joined.isResumable else { return }
        seekBack(Recovery(joined, until: nil), &turn)
    }

    mutating func spread(_ isBulk: Bool, _ turn: inout Turn) {
        guard case .open(var joined) = state, joined.isResumable else { return }
        let moves = joined.bulk.map { $0.moves + 1 } ?? 1
        joined.bulk = isBulk ? Joined.Bulk(movedAt: turn.now, moves: moves) : nil
        seekBack(Recovery(joined, until: nil), &turn)
    }

    mutating func retry(_ turn: inout Turn) {
        guard case .detached(let recovery, _) = state else { return }
        seekBack(recovery, &turn)
    }

    private mutating func seekBack(_ recovery: Recovery, _ turn: inout Turn) {
        if let until = recovery.until, until <= turn.now {
            // The last attempt is over, and was told of.
            become(.returning(recovery))
            return end(.lost(hadBytes: true), &turn)
        }
        var recovery = recovery
        // Each attempt has its own: the egress takes none that is late.
        recovery.joined.epoch += 1
        flow.awaitsPath = true
        become(.returning(recovery))
        turn.act(.seekBack(recovery.joined, recovery.tried))
    }

    /// That way has led nowhere; a stream that has not lost its path keeps it then.
    private mutating func seekBack(after way: WayPick, _ recovery: Recovery, _ turn: inout Turn) {
        guard recovery.until != nil else { return noWayBack(recovery, &turn) }
        var recovery = recovery
        recovery.tried.routes.append(way.route)
        seekBack(recovery, &turn)
    }

    mutating func askedBack(
        _ way: WayPick,
        _ hadFin: Bool,
        _ patience: Duration?,
        _ turn: inout Turn
    ) {
        guard case .returning(let recovery) = state else { return }
        let longest = recovery.until == nil ? Self.movePatience : patience ?? Self.patience
        let limit = turn.now + longest
        let attempt = ReturnAttempt(way: way, askedAt: turn.now, limit: limit, hadFin: hadFin)
        become(.resuming(recovery, attempt))
    }

    mutating func unreachableBack(_ recovery: Recovery, _ way: WayPick, _ turn: inout Turn) {
        turn.act(.wayAbandoned(way))
        seekBack(after: way, recovery, &turn)
    }

    /// Every way was tried.
    mutating func noWayBack(_ recovery: Recovery, _ turn: inout Turn) {
        guard let until = recovery.until else {
            // It was not lost: its path is used as before.
            flow.awaitsPath = false
            return become(.open(recovery.joined))
        }
        var recovery = recovery
        let pause = recovery.takePause()
        become(.detached(recovery, retryAt: min(until, turn.now + pause)))
    }

    // MARK: Answers

    mutating func resumed(_ answer: Resumed, _ isGenuine: Bool, _ turn: inout Turn) {
        guard case .resuming(let recovery, let attempt) = state else {
            return broke(.protocolError, &turn)
        }
        guard isGenuine else {
            turn.act(.dropAttempt)
            turn.act(.wayAbandoned(attempt.way))
            return seekBack(after: attempt.way, recovery, &turn)
        }
        wayAnswered(recovery, attempt, &turn)
        do throws(StreamViolation) {
            try flow.resume(
                answer,
                hadFin: attempt.hadFin,
                after: turn.now - attempt.askedAt
            )
        } catch {
            return broke(.protocolError, &turn)
        }
        var joined = recovery.joined
        joined.route = attempt.way.route
        flow.awaitsPath = false
        become(.open(joined))
        turn.act(.takeOver)
        if recovery.until != nil { turn.act(.resumed(joined.pick)) }
    }

    mutating func refusedBack(
        _ reason: Refused.Reason,
        _ isGenuine: Bool,
        _ turn: inout Turn
    ) {
        guard case .resuming(let recovery, let attempt) = state else { return }
        guard isGenuine else {
            // A hop's word.
            turn.act(
                reason == .noRoute
                    ? .wayFailed(attempt.way, .linkLost) : .wayAbandoned(attempt.way)
            )
            return seekBack(after: attempt.way, recovery, &turn)
        }
        wayAnswered(recovery, attempt, &turn)
        switch reason {
        case .finished where flow.mayHaveFinished: end(.finished, &turn)
        case .finished, .unknownStream: end(.lost(hadBytes: true), &turn)
        case .endedByServer: end(.cut(hadBytes: true), &turn)
        default: seekBack(after: attempt.way, recovery, &turn)
        }
    }

    /// The attempt is over, whatever comes of it: its way is told of once.
    private mutating func wayAnswered(
        _ recovery: Recovery,
        _ attempt: ReturnAttempt,
        _ turn: inout Turn
    ) {
        become(.returning(recovery))
        turn.act(.wayAnswered(attempt.way, after: turn.now - attempt.askedAt))
    }

    mutating func attemptLost(_ turn: inout Turn) {
        guard case .resuming(let recovery, let attempt) = state else { return }
        turn.act(.wayAbandoned(attempt.way))
        seekBack(after: attempt.way, recovery, &turn)
    }

    mutating func timedOutBack(
        _ recovery: Recovery,
        _ attempt: ReturnAttempt,
        _ turn: inout Turn
    ) {
        turn.act(.dropAttempt)
        // That a path is slow says nothing against it while the stream uses it.
        turn.act(
            attempt.limit <= turn.now && recovery.until != nil
                ? .wayFailed(attempt.way, .connectTimeout) : .wayAbandoned(attempt.way)
        )
        seekBack(after: attempt.way, recovery, &turn)
    }
}

/// A stream that a server elsewhere has taken.
package struct Joined: Hashable, Sendable {
    // In an order without gaps.
    package let pick: Pick
    let isResumable: Bool
    /// Of the newest attachment, or attempt at one.
    package fileprivate(set) var epoch: UInt32 = 0
    /// Ends with the egress.
    package fileprivate(set) var route: [ProxyID]
    /// Nil: it is not bulk, or has not proved so.
    package fileprivate(set) var bulk: Bulk?

    /// How often it was moved as bulk, and when last.
    package struct Bulk: Hashable, Sendable {
        fileprivate let movedAt: Instant
        fileprivate let moves: UInt32
    }

    init(pick: Pick, route: [ProxyID], isResumable: Bool) {
        self.pick = pick
        self.route = route
        self.isResumable = isResumable
    }

    var egress: ProxyID? { route.last }

    /// Whether its route is none of the best of `ways` to the egress.
    package func hasBetter(of ways: Ways) -> Bool {
        let back = back(of: ways)
        let best = back.routes.isEmpty ? Array(back.detours.prefix(1)) : back.routes
        return !best.isEmpty && !best.contains(route)
    }

    /// Whether hops beyond the first may have lanes for bulk, which only a move tells.
    ///
    /// The first one has them dialed, the second finds them; more than that is asked for nothing.
    package func mayAskHops(at now: Instant) -> Bool {
        guard route.count > 1 else { return false }
        guard let bulk else { return true }
        return bulk.moves < 3 && now - bulk.movedAt >= .seconds(1)
    }

    /// Those of `ways` that end at the egress.
    package func back(of ways: Ways) -> Ways {
        Ways(
            routes: ways.routes.filter { $0.last == route.last },
            detours: ways.detours.filter { $0.last == route.last }
        )
    }
}

/// Another path to the egress is looked for.
package struct Recovery: Hashable, Sendable {
    fileprivate(set) var joined: Joined
    /// Until when; nil while the path that there is carries on.
    fileprivate(set) var until: Instant?
    fileprivate(set) var tried = Tried()
    private var pauses = 0

    fileprivate init(_ joined: Joined, until: Instant?) {
        self.joined = joined
        self.until = until
    }

    /// The first wait before all ways are tried again; doubles.
    private static let pause: Duration = .milliseconds(20)

    fileprivate mutating func takePause() -> Duration {
        tried = Tried()
        defer { pauses += 1 }
        return Self.pause * (1 << min(pauses, 5))
    }
}

/// RESUME was sent, and the answer is waited for.
package struct ReturnAttempt: Hashable, Sendable {
    let way: WayPick
    let askedAt: Instant
    /// Until when.
    let limit: Instant
    /// It said that FIN has come.
    let hadFin: Bool
}
