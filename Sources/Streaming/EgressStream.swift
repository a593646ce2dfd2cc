package import Balancing
package import NetworkModel
package import Wire

/// The life of a stream at the proxy that has the server, from OPEN to its end.
///
/// A server that resets the connection before it took or gave anything is replaced by another one without the ingress
/// hearing of it: what came from the client meanwhile waits for the next server. Pure: whoever owns the socket carries
/// out the actions, in order, before the next input.
package struct EgressStream: ~Copyable {
    /// A stream that outlives its lane will be detached, between `open` and `ended`: it waits to be resumed.
    package enum State {
        /// To the first server; the ingress waits for the answer. Can become: open, ended.
        case connecting
        /// The server has accepted. Can become: replacing, ended.
        case open(ServerPick, since: Instant)
        /// The server has reset before anything passed; another one is connected to. Can become: open, ended.
        case replacing
        /// Nothing is left.
        case ended
    }

    /// The server's bytes.
    package var flow: StreamFlow
    package private(set) var state = State.connecting
    /// What the ingress asked for.
    package let open: Open
    private let connectTimeout: Duration
    /// When the first server accepted.
    private var openedAt: Instant?
    /// Servers that accepted and then reset.
    private var resetBy: [Endpoint] = []

    /// Begin with `.start`.
    package init(_ open: Open, _ flow: consuming StreamFlow, connectTimeout: Duration) {
        self.open = open
        self.flow = flow
        self.connectTimeout = connectTimeout
    }

    /// What happened.
    package enum Input {
        case start
        /// Answers `.connect`.
        case connected(ServerPick)
        case notConnected(Refused.Reason)
        case cancelled
        case reset(Reset.Reason)
        case carrierLost
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
        // What the balancer is told
        case serverReleased(ServerPick)
        case serverFailed(ServerPick, ServerFault)
        /// Closes the socket, with a RST unless both FINs have passed, and forgets the stream.
        case close(inOrder: Bool)
    }

    /// Takes one input; the actions are carried out in order.
    package mutating func handle(_ input: Input, at now: Instant) -> [Action] {
        switch input {
        case .start: [.connect(excluding: [], within: connectTimeout)]
        case .connected(let server): connected(server, at: now)
        case .notConnected(let reason): notConnected(reason)
        case .serverFailed: serverFailed(at: now)
        case .cancelled, .reset, .carrierLost: end()
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
        case .connecting:
            openedAt = now
            flow.gainSocket()
            flow.open(window: open.window, at: now)
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
        guard case .open(let server, let since) = state, let openedAt else { return [] }
        // What a server does with the bytes that a client sent speaks against neither.
        let isUntouched = flow.hasUsedNoSocket
        let verdict: Action =
            isUntouched && now - since <= connectTimeout
            ? .serverFailed(server, .closedAtOnce) : .serverReleased(server)
        // The ingress takes a reset within its own `connect` for the target's refusal: the last one has to reach it in time.
        let passed = now - openedAt
        guard isUntouched, passed <= connectTimeout / 2 else {
            state = .replacing
            return [verdict] + end([.reset(.endpoint)])
        }
        flow.loseSocket()
        resetBy.append(server.endpoint)
        state = .replacing
        return [
            verdict, .dropServer,
            .connect(excluding: resetBy, within: connectTimeout * 3 / 4 - passed),
        ]
    }

    /// The socket has ended; true when that counts as `serverFailed`, which is to be told soon.
    ///
    /// A server that ends the connection at once, before any byte and with the client still there, has not served it.
    package mutating func endOfSocket(at now: Instant) -> Bool {
        if case .open(_, let since) = state, flow.hasUsedNoSocket, !flow.receiver.hasEnd,
            now - since <= connectTimeout
        {
            return true
        }
        flow.endOfSocket(at: now)
        return false
    }

    private mutating func end(_ words: [Action] = [], inOrder: Bool = false) -> [Action] {
        let last = state
        state = .ended
        flow.close()
        return switch last {
        case .ended: []
        case .connecting, .replacing: words + [.stopConnecting, .close(inOrder: inOrder)]
        case .open(let server, _):
            words + [.close(inOrder: inOrder), .serverReleased(server)]
        }
    }
}
