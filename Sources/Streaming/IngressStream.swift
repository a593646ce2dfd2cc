package import Balancing
package import NetworkModel
package import Wire

/// The life of a client's connection, from accept to its end: which target is asked, over which way, and what it means when
/// something fails.
///
/// Another target is tried while no byte and no FIN of the client was sent on and nothing came for the client: after a
/// refusal, a time-out, a lost lane or path, a reset; within twice `timeouts.connect`, and until five targets have said
/// no. One that was open for longer than `timeouts.connect` and is lost untouched begins anew. A stream with bytes that
/// loses its path goes back to the same egress over another one, for as long as its grace lasts. Else, and whenever no
/// target is left, the client gets a RST. Where the client's first bytes went with OPEN, only a refusal by the egress leads to
/// another target. Pure: whoever owns the socket carries out the actions, in order, before
/// the next input.
package struct IngressStream: ~Copyable {
    /// What a connection is for most of its life takes room in it; the rest has memory of its own while it lasts.
    package enum State {
        /// Waits a moment for the client's first bytes. Can become: choosing, ended.
        case listening(until: Instant)
        /// Asks for a target. Can become: connecting, seeking, waiting, ended.
        case choosing
        /// Every target was tried, and those that could not be reached may be in a moment. Can become: choosing, ended.
        case waiting(until: Instant)
        /// To a server of this site. Can become: relaying, choosing, ended.
        case connecting(LocalAttempt)
        /// Client and server are joined. Can become: connecting or choosing (the server lost it untouched), ended.
        indirect case relaying(LocalAttempt, ServerPick)
        /// Looks for a way to the target. Can become: opening, choosing, ended.
        case seeking(Search)
        /// OPEN was sent. Can become: open, seeking, choosing, ended.
        indirect case opening(Attempt)
        /// Bytes may flow. Can become: returning, choosing (it was lost untouched), ended.
        case open(Joined)
        /// Looks for another way to the same egress. Can become: resuming, detached, open (it was not lost), ended.
        indirect case returning(Recovery)
        /// RESUME was sent. Can become: open, returning, ended.
        indirect case resuming(Recovery, ReturnAttempt)
        /// No way back is known. Can become: returning, ended.
        indirect case detached(Recovery, retryAt: Instant)
        /// Nothing is left.
        case ended
    }

    /// The client's bytes.
    package var flow: StreamFlow
    package private(set) var state = State.choosing
    package let timeouts: ServiceTimeouts
    var history: AttemptHistory

    /// Begin with `.start`.
    package init(_ flow: consuming StreamFlow, timeouts: ServiceTimeouts, at now: Instant) {
        self.flow = flow
        self.timeouts = timeouts
        history = AttemptHistory(began: now)
    }

    /// What happened.
    package enum Input {
        case start
        /// In place of `.start`: the client is waited for as long as this, for its first bytes.
        case listen(for: Duration)
        /// These have come, or none will.
        case spoke
        /// Answers `.pick`.
        case picked(Pick?, isLocal: Bool)
        /// Answers `.connect`: client and server are joined next.
        case connected(ServerPick)
        case notConnected(Refused.Reason)
        /// The connection that was accepted is one of this proxy's own to that server.
        case cameBack(ServerPick)
        case relayEnded(RelayEnding)
        /// Answers `.seek`: OPEN was sent; `patience` is for how long an answer is waited for while there are other ways.
        case asked(WayPick, patience: Duration?)
        /// Answers `.seek`: the first hop of that way takes nothing.
        case unreachable(WayPick)
        /// Answers `.seek`: no way is left.
        case noWay
        /// `isGenuine`: it is the egress's own word.
        case opened(Opened, isGenuine: Bool)
        case refused(Refused.Reason, by: ProxyID, isGenuine: Bool)
        case reset(Reset.Reason)
        /// The path that is in use is lost; the stream may be without one for `grace`.
        case pathLost(grace: Duration)
        /// A better way to the egress may be there: the stream moves without a loss.
        case move
        /// It has proved bulky, or is so no more: it moves to a lane of that kind, without a loss.
        case spread(isBulk: Bool)
        /// A way back may be there.
        case retry
        /// Answers `.seekBack`: RESUME was sent; it says whether FIN has come.
        case askedBack(WayPick, hadFin: Bool, patience: Duration?)
        /// The answer to RESUME, on its path.
        case resumed(Resumed, isGenuine: Bool)
        /// The other answer to it, on its path, whose label is free again.
        case refusedBack(Refused.Reason, isGenuine: Bool)
        /// The path of the RESUME is lost, or was reset.
        case attemptLost
        /// These proxies have ended for certain.
        case proxiesEnded(Set<ProxyID>)
        /// The neighbor broke the rules of the stream.
        case violated
        /// There is no memory for what came.
        case overloaded
        /// Both directions have ended in order.
        case finished
        /// The client reset its connection or vanished.
        case clientFailed
        /// `nextDeadline` is over.
        case deadline
        /// The proxy stops, or the service was taken out.
        case shutDown
    }

    package enum Action: Hashable {
        // The attempt
        case pick(excluding: [SiteID])
        case connect(excluding: [Endpoint])
        case stopConnecting
        case abortRelay
        case seek(Pick, Tried)
        /// Sends RESUME on the next way to the egress that was not tried.
        case seekBack(Joined, Tried)
        /// The path of the RESUME is used from now on; the one before, if it is still there, hears that it is not.
        case takeOver
        /// Nobody waits for the answer to the RESUME any more; its label is free afterwards.
        case dropAttempt
        // What the other proxies are told; the label is free afterwards
        case cancel
        case reset(Reset.Reason)
        case leave
        // What the balancers are told
        case opened(Pick)
        case resumed(Pick)
        case release(Pick)
        case failed(Pick, FailoverReason)
        case lost(Pick)
        case serverReleased(ServerPick)
        case serverFailed(ServerPick, ServerFault)
        case wayAnswered(WayPick, after: Duration)
        case wayFailed(WayPick, FailoverReason)
        case wayAbandoned(WayPick)
        case count(ClientEvent)
        /// Closes the socket, with a RST unless both FINs have passed, and forgets the stream.
        case close(inOrder: Bool)
    }

    /// Takes one input; the actions are carried out in order.
    package mutating func handle(_ input: Input, at now: Instant) -> [Action] {
        var turn = Turn(now: now)
        switch input {
        case .start: next(&turn)
        case .listen(let time): become(.listening(until: turn.now + time))
        case .spoke: if case .listening = state { next(&turn) }
        case .picked(let pick, let isLocal): picked(pick, isLocal, &turn)
        case .connected(let server): connected(server, &turn)
        case .notConnected(let reason): notConnected(reason, &turn)
        case .cameBack(let server): cameBack(server, &turn)
        case .relayEnded(let ending): relayEnded(ending, &turn)
        case .asked(let way, let patience): asked(way, patience, &turn)
        case .unreachable(let way): unreachable(way, &turn)
        case .noWay: noWay(&turn)
        case .opened(let answer, let isGenuine): opened(answer, isGenuine, &turn)
        case .refused(let reason, let proxy, let isGenuine):
            refused(reason, by: proxy, isGenuine, &turn)
        case .reset(let reason): wasReset(reason, &turn)
        case .pathLost(let grace): pathLost(grace, &turn)
        case .move: move(&turn)
        case .spread(let isBulk): spread(isBulk, &turn)
        case .retry: retry(&turn)
        case .askedBack(let way, let hadFin, let patience):
            askedBack(way, hadFin, patience, &turn)
        case .resumed(let answer, let isGenuine): resumed(answer, isGenuine, &turn)
        case .refusedBack(let reason, let isGenuine): refusedBack(reason, isGenuine, &turn)
        case .attemptLost: attemptLost(&turn)
        case .proxiesEnded(let ended): proxiesEnded(ended, &turn)
        case .violated: broke(.protocolError, &turn)
        case .overloaded: broke(.overloaded, &turn)
        case .finished: if case .open = state { end(.finished, &turn) }
        case .clientFailed: clientFailed(&turn)
        case .deadline: deadlinePassed(&turn)
        case .shutDown: shutDown(&turn)
        }
        return turn.actions
    }

    /// When `.deadline` is due, unless something happens before; a later one than the last need not be noted at once.
    package var nextDeadline: Instant? {
        switch state {
        case .listening(let until), .waiting(let until): until
        case .opening(let attempt): attempt.limit
        case .open: silentUntil
        case .resuming(let recovery, let attempt):
            min(attempt.limit, recovery.until ?? attempt.limit)
        case .detached(_, let retryAt): retryAt
        default: nil
        }
    }

    /// When the client came.
    package var began: Instant { history.began }

    var silentUntil: Instant? { flow.silentUntil(timeouts) }

    /// The loop has ended: nobody is told.
    package mutating func abandon() { state = .ended }

    /// The site of the server, while there is one.
    package var target: SiteID? {
        switch state {
        case .relaying(let attempt, _): attempt.pick.site
        case .open, .returning, .resuming, .detached: state.joined?.pick.site
        default: nil
        }
    }

    // MARK: For its other files

    /// One input's time, and what it leads to.
    struct Turn {
        let now: Instant
        var actions: [Action] = []

        mutating func act(_ action: Action) {
            // As many as most turns have: one allocation instead of three.
            if actions.isEmpty { actions.reserveCapacity(4) }
            actions.append(action)
        }
    }

    mutating func become(_ next: State) { state = next }
}

/// How the connection of a client went on, for the counters of its service.
package enum ClientEvent: Sendable {
    /// A target took it for the first time.
    case opened
    /// It ended after it had been opened.
    case closed
    /// It ended because no target took it.
    case failed
    /// It was cut after bytes had been exchanged; `closed` follows.
    case interrupted
    /// It was reset before anything was tried for it.
    case refused
}

/// How a relay between a client and a server of this site ended.
package enum RelayEnding: Hashable, Sendable {
    /// Both FINs have passed.
    case finished
    /// The client reset its connection or vanished.
    case client
    /// The server did; `isUntouched`: no byte had passed; `isReclaimed`: nothing at all, and the client is ours again.
    case server(isUntouched: Bool, isReclaimed: Bool)
    /// This proxy ended it.
    case cut(hadBytes: Bool)
}
