package import Balancing
package import NetworkModel
package import Wire

/// The life of a stream at the proxy that has the server, from OPEN to its end.
///
/// A server that resets the connection before it took or gave anything is replaced by another one without the ingress
/// hearing of it: what came from the client meanwhile waits for the next server. A stream that loses its path keeps its
/// server and waits for the ingress to come back over another one, a little longer than the ingress tries. Pure: whoever owns the socket carries
/// out the actions, in order, before the next input.
package struct EgressStream: ~Copyable {
    package enum State {
        /// To the first server; the ingress waits for the answer, and takes `window` bytes at first. Can become: open, ended.
        case connecting(window: UInt32)
        /// The server has accepted. Can become: replacing, ended.
        case open(ServerPick, since: Instant)
        /// The server has reset before anything passed; another one is connected to. Can become: open, ended.
        case replacing
        /// Nothing is left.
        case ended
    }

    /// The server's bytes.
    package var flow: StreamFlow
    // In an order without gaps.
    package private(set) var state: State
    private let timeouts: ServiceTimeouts
    /// Nil for most connections, for good.
    private var setbacks: Setbacks?
    /// Until when the ingress is waited for; nil while there is a path.
    private var detached = ShortInstant()
    package let name: StreamName
    package let isResumable: Bool
    /// The bytes that came with OPEN are kept for the server.
    package private(set) var tookEarly = false
    /// Of the newest attachment.
    private var epoch: UInt32
    /// Who the servers are told that the client is.
    package let client: Endpoint

    /// What went wrong has memory of its own.
    private final class Setbacks {
        /// When the first server accepted.
        let openedAt: Instant
        /// Servers that accepted and then reset.
        var resetBy: [Endpoint] = []

        init(openedAt: Instant) { self.openedAt = openedAt }
    }

    /// Begin with `.start`.
    package init(_ open: Open, _ flow: consuming StreamFlow, timeouts: ServiceTimeouts) {
        name = open.name
        client = open.client
        isResumable = open.isResumable
        state = .connecting(window: open.window)
        epoch = open.epoch
        self.flow = flow
        self.timeouts = timeouts
    }

    /// Keeps what came with OPEN, before `.start`; OPENED says so.
    package mutating func keepEarly(_ bytes: [UInt8]) throws(StreamViolation) {
        guard !bytes.isEmpty else { return }
        try flow.keepEarly(bytes)
        tookEarly = true
    }

    /// What happened.
    package enum Input {
        case start
        /// Answers `.connect`.
        case connected(ServerPick)
        case notConnected(Refused.Reason)
        case cancelled
        case reset(Reset.Reason)
        /// The path is lost; the ingress tries to come back for `grace`.
        case pathLost(grace: Duration)
        /// These proxies have ended for certain.
        case proxiesEnded(Set<ProxyID>)
        /// `nextDeadline` is over.
        case deadline
        /// The neighbor broke the rules of the stream.
        case violated
        /// There is no memory for what came.
        case overloaded
        /// Both directions have ended in order.
        case finished
        /// The server reset its connection, ended it too early, or vanished.
        case serverFailed
        /// The proxy stops, or the service was taken out.
        case shutDown

        /// Whether another time limit may hold afterwards.
        package var concernsPath: Bool {
            switch self {
            case .connected, .pathLost, .deadline: true
            default: false
            }
        }
    }

    package enum Action: Hashable {
        case connect(excluding: [Endpoint], within: Duration)
        case stopConnecting
        /// Closes the socket of a server that another one will replace.
        case dropServer
        // What the ingress is told; the label is free after all but the first
        case answer
        case refuse(Refused.Reason)
        case reset(Reset.Reason)
        /// What a RESUME is told from now on.
        case bury(StreamIndex.Verdict)
        // What the balancer is told
        case serverReleased(ServerPick)
        case serverFailed(ServerPick, ServerFault)
        /// Closes the socket, with a RST unless both FINs have passed, and forgets the stream.
        case close(inOrder: Bool)
    }

    /// Takes one input; the actions are carried out in order.
    package mutating func handle(_ input: Input, at now: Instant) -> [Action] {
        switch input {
        case .start: [.connect(excluding: [], within: timeouts.connect)]
        case .connected(let server): connected(server, at: now)
        case .notConnected(let reason): notConnected(reason)
        case .serverFailed: serverFailed(at: now)
        case .cancelled, .reset: end()
        case .pathLost(let grace): pathLost(grace, at: now)
        case .proxiesEnded(let ended):
            // Its server is not kept for an ingress that is gone.
            ended.contains(name.ingress) ? end([.reset(.pathLost)]) : []
        case .deadline: deadlinePassed(at: now)
        case .violated: end([.reset(.protocolError)])
        case .overloaded: end([.reset(.overloaded)])
        case .shutDown: end([.reset(.shutdown)])
        case .finished: end(inOrder: true)
        }
    }

    /// The loop has ended: nobody is told.
    package mutating func abandon() { state = .ended }

    private mutating func connected(_ server: ServerPick, at now: Instant) -> [Action] {
        switch state {
        case .connecting(let window):
            flow.gainSocket()
            flow.open(window: window, at: now)
            state = .open(server, since: now)
            return [.answer]
        case .replacing:
            // What came meanwhile is for this one.
            flow.gainSocket()
            state = .open(server, since: now)
            return []
        case .open, .ended: return [.serverReleased(server)]
        }
    }

    private mutating func notConnected(_ reason: Refused.Reason) -> [Action] {
        switch state {
        case .connecting: end([.refuse(reason)])
        case .replacing: end([.reset(reason == .overloaded ? .overloaded : .endpoint)])
        case .open, .ended: []
        }
    }

    private mutating func serverFailed(at now: Instant) -> [Action] {
        guard case .open(let server, let since) = state else { return [] }
        // What a server does with the bytes that a client sent speaks against neither.
        let isUntouched = flow.hasUsedNoSocket
        let verdict: Action =
            isUntouched && now - since <= timeouts.connect
            ? .serverFailed(server, .closedAtOnce) : .serverReleased(server)
        // The ingress takes a reset within its own `connect` for the target's refusal: the last one has to reach it in time.
        let passed = now - (setbacks?.openedAt ?? since)
        guard isUntouched, passed <= timeouts.connect / 2 else {
            state = .replacing
            return [verdict] + end([.reset(.endpoint)])
        }
        flow.loseSocket()
        let setbacks = setbacks ?? Setbacks(openedAt: since)
        self.setbacks = setbacks
        setbacks.resetBy.append(server.endpoint)
        state = .replacing
        return [
            verdict, .dropServer,
            .connect(
                excluding: setbacks.resetBy,
                within: timeouts.connect * 3 / 4 - passed
            ),
        ]
    }

    /// The socket has ended; true when that counts as `serverFailed`, which is to be told soon.
    ///
    /// A server that ends the connection at once, before any byte and with the client still there, has not served it.
    package mutating func endOfSocket(at now: Instant) -> Bool {
        if case .open(_, let since) = state, flow.hasUsedNoSocket, !flow.receiver.hasEnd,
            now - since <= timeouts.connect
        {
            return true
        }
        flow.endOfSocket(at: now)
        return false
    }

    private mutating func end(_ words: [Action] = [], inOrder: Bool = false) -> [Action] {
        let last = state
        state = .ended
        detached.instant = nil
        flow.close()
        var words = words
        if isResumable {
            let isServers = words.contains(.reset(.endpoint))
            words.append(.bury(inOrder ? .finished : isServers ? .endedByServer : .lost))
        }
        return switch last {
        case .ended: []
        case .connecting, .replacing: words + [.stopConnecting, .close(inOrder: inOrder)]
        case .open(let server, _):
            words + [.close(inOrder: inOrder), .serverReleased(server)]
        }
    }
}

// MARK: - Other paths

extension EgressStream {
    /// Without a path.
    package var isDetached: Bool { detached.instant != nil }

    /// When `.deadline` is due, unless something happens before; a later one than the last need not be noted at once.
    package var nextDeadline: Instant? {
        if let until = detached.instant { return until }
        if case .open = state { return flow.silentUntil(timeouts) }
        return nil
    }

    private mutating func pathLost(_ grace: Duration, at now: Instant) -> [Action] {
        switch state {
        case .open, .replacing:
            guard isResumable, grace > .zero else { return end() }
            detached.instant = now + grace + grace / 4
            return []
        case .connecting, .ended: return end()
        }
    }

    private mutating func deadlinePassed(at now: Instant) -> [Action] {
        // Bytes that moved meanwhile put the limit off; nobody sets a timer per byte.
        guard let limit = nextDeadline, limit <= now else { return [] }
        return end(isDetached ? [] : [.reset(.idle)])
    }

    /// What a RESUME leads to.
    package enum Return: Hashable {
        /// The stream is on the new path from now on, and the answer is sent on it, without its MAC.
        case resumed(Resumed)
        case refused(Refused.Reason)
        /// It contradicts what was exchanged before: `violated` follows.
        case impossible
    }

    /// Takes a genuine RESUME, of which `egress`, this proxy, is the end.
    package mutating func resume(_ request: Resume, at egress: ProxyID) -> Return {
        switch state {
        case .connecting, .ended: return .refused(.unknownStream)
        case .open, .replacing: break
        }
        guard isResumable else { return .refused(.unknownStream) }
        // An older one was slower than the one that is in force, or is played again.
        guard request.epoch > epoch else { return .refused(.replay) }
        let standing = flow.receiver.standing
        do throws(StreamViolation) {
            let start = try flow.resume(request.standing)
            epoch = request.epoch
            detached.instant = nil
            return .resumed(Resumed(egress: egress, standing: standing, start: start))
        } catch {
            return .impossible
        }
    }
}
