package import Balancing
package import NetworkModel
package import Wire

/// Which servers of this site one connection tries: the best first, then the others, within one time limit.
///
/// What this host is short of (descriptors, ports, memory) is not held against a server. Pure: whoever connects carries
/// out each step, and tells how the attempt failed before it asks for the next one.
package struct ServerAttempts: Sendable {
    package enum Step: Hashable, Sendable {
        /// The server is counted already.
        case connect(ServerPick, within: Duration)
        case giveUp(Refused.Reason)
    }

    /// Why a server was not connected to.
    package enum Failure: Sendable {
        case refused
        case unanswered
        /// This host lacks something.
        case shortage
    }

    private var tried: [Endpoint]
    private let deadline: Instant
    private let timeout: Duration
    private var wasUnanswered = false
    private var isShort = false

    /// Servers that are tried for one connection.
    package static let limit = 8

    /// `excluded` are servers that were tried before for this connection.
    package init(excluding excluded: [Endpoint], within timeout: Duration, at now: Instant) {
        tried = excluded
        deadline = now + timeout
        self.timeout = timeout
    }

    /// The server to connect to next, or why there is none.
    package mutating func next(of servers: inout EndpointBalancer, at now: Instant) -> Step {
        let rest = deadline - now
        guard rest > .zero, tried.count < Self.limit,
            let server = servers.pick(excluding: tried, at: now)
        else { return .giveUp(reason) }
        let isLast = servers.candidateCount <= tried.count + 1
        tried.append(server.endpoint)
        // A server that does not answer leaves half of the time for the others.
        return .connect(server, within: isLast ? rest : min(rest, timeout / 2))
    }

    /// The attempt has failed; answers with what is held against the server, if anything.
    package mutating func failed(_ failure: Failure) -> ServerFault? {
        switch failure {
        case .refused: return .refused
        case .unanswered:
            wasUnanswered = true
            return .unanswered
        case .shortage:
            isShort = true
            return nil
        }
    }

    private var reason: Refused.Reason {
        if isShort { return .overloaded }
        if tried.isEmpty { return .noEndpoint }
        return wasUnanswered ? .connectTimeout : .connectRefused
    }
}
