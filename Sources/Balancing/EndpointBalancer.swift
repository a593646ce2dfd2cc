package import NetworkModel

/// Chooses among the endpoints of one service port at this site: the fewest open connections, then the one picked longest ago.
package struct EndpointBalancer: Sendable {
    /// One server.
    package struct Server: Hashable, Sendable {
        package var endpoint: Endpoint
        package var isReady: Bool
        /// Still serves while it terminates: used when none is ready.
        package var isServing: Bool

        package init(endpoint: Endpoint, isReady: Bool, isServing: Bool) {
            self.endpoint = endpoint
            self.isReady = isReady
            self.isServing = isServing
        }
    }

    package init() {}

    /// Takes the servers that exist now; connections to others stay counted until released.
    package mutating func update(_ servers: [Server]) { fatalError() }

    /// Counts the connection. Nil when every usable server is in `excluded`.
    package mutating func pick(excluding excluded: [Endpoint] = [], at now: Instant) -> Endpoint? {
        fatalError()
    }

    package mutating func opened(_ endpoint: Endpoint) { fatalError() }

    /// The connect failed: avoided for a while unless there is no other. Releases the pick.
    package mutating func failed(_ endpoint: Endpoint, at now: Instant) { fatalError() }

    package mutating func release(_ endpoint: Endpoint) { fatalError() }

    package var readyCount: UInt32 { fatalError() }
    /// True when none is ready but some still serve.
    package var isTerminating: Bool { fatalError() }
}
