package import NetworkModel

/// A server that was chosen for a connection, which is counted already and has to be released, whatever becomes of it.
package struct ServerPick: Hashable, Sendable {
    /// Increases with every pick of the service port.
    package let number: UInt64
    // Every connection has a pick: what those of one server have in common, or few have, has memory of its own.
    private let place: ServerPlace
    private var end: OwnEnd?

    package init(endpoint: Endpoint, number: UInt64, server: Endpoint) {
        self.init(ServerPlace(endpoint: endpoint, server: server), number: number)
    }

    init(_ place: ServerPlace, number: UInt64) {
        self.place = place
        self.number = number
    }

    /// Where to connect.
    package var endpoint: Endpoint { place.endpoint }

    /// Which server it is, by whatever address.
    package var server: Endpoint { place.server }

    /// The connection's own end, once it is known.
    package var local: Endpoint? {
        get { end?.endpoint }
        set { end = newValue.map(OwnEnd.init) }
    }

    private final class OwnEnd: Sendable {
        let endpoint: Endpoint

        init(_ endpoint: Endpoint) { self.endpoint = endpoint }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.number == right.number && left.endpoint == right.endpoint
            && left.server == right.server && left.local == right.local
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(number)
        hasher.combine(server)
    }
}

/// A server, at one of its addresses.
final class ServerPlace: Sendable {
    let endpoint: Endpoint
    let server: Endpoint

    init(endpoint: Endpoint, server: Endpoint) {
        self.endpoint = endpoint
        self.server = server
    }
}

/// Chooses among the servers of one service port at this site.
///
/// The usable server with the fewest open connections wins, then the one picked longest ago, then the smaller endpoint.
/// If none is usable, those that serve while they terminate. A server that failed is left out, and counts nowhere, until a
/// probe succeeds; clients get it only while there is no other. Every pick ends with exactly one of `failed` and `release`.
package struct EndpointBalancer: Sendable {
    /// One server.
    package struct Server: Hashable, Sendable {
        /// Alternatives, the preferred one first; never empty.
        package let addresses: [Endpoint]
        package var isReady: Bool
        /// Still serves while it terminates: used when none is ready.
        package var isServing: Bool
        /// Somebody has seen it ready; else it counts from its first answer on.
        package let isVouchedFor: Bool

        package init(endpoint: Endpoint, isReady: Bool, isServing: Bool) {
            self.init(
                addresses: [endpoint],
                isReady: isReady,
                isServing: isServing,
                isVouchedFor: true
            )
        }

        /// A server that is only listed.
        package init(listed addresses: [Endpoint]) {
            self.init(addresses: addresses, isReady: true, isServing: true, isVouchedFor: false)
        }

        private init(addresses: [Endpoint], isReady: Bool, isServing: Bool, isVouchedFor: Bool) {
            precondition(!addresses.isEmpty, "a server without an address")
            self.addresses = addresses
            self.isReady = isReady
            self.isServing = isServing
            self.isVouchedFor = isVouchedFor
            id = addresses.reduce(addresses[0]) { min($0, $1) }
        }

        /// The same whatever address is preferred.
        package let id: Endpoint

        /// Two sources may name one server: slices while it moves between them, names of one host.
        fileprivate func joined(with other: Server) -> Server {
            Server(
                addresses: addresses + other.addresses.filter { !addresses.contains($0) },
                isReady: isReady || other.isReady,
                isServing: isServing || other.isServing,
                isVouchedFor: isVouchedFor || other.isVouchedFor
            )
        }
    }

    /// Sorted by server; one that is gone stays, neither ready nor serving, while connections are open to it.
    var slots: [ServerSlot] = []
    var picks: UInt64 = 0

    package init() {}

    /// Takes the servers that exist now; connections to others stay counted until released.
    ///
    /// True when one of them is ready that was not before.
    @discardableResult
    package mutating func update(_ servers: [Server], at now: Instant) -> Bool {
        var isRenewed = false
        var wanted: [Endpoint: Server] = [:]
        for server in servers {
            wanted[server.id] = wanted[server.id].map { $0.joined(with: server) } ?? server
        }
        var updated: [ServerSlot] = []
        for var slot in slots {
            if let server = wanted.removeValue(forKey: slot.id) {
                if server.isReady, !slot.server.isReady { isRenewed = true }
                slot.update(server)
            } else if slot.open > 0 {
                slot.leave()
            } else {
                continue
            }
            updated.append(slot)
        }
        for server in wanted.values {
            if server.isReady { isRenewed = true }
            updated.append(ServerSlot(server, at: now))
        }
        slots = updated.sorted { $0.id < $1.id }
        return isRenewed
    }

    /// Counts the connection as open to the chosen server.
    ///
    /// Nil when every server that may be tried is in `excluded`.
    package mutating func pick(
        excluding excluded: [Endpoint] = [],
        at now: Instant
    ) -> ServerPick? {
        var best: (index: Int, key: (Int, UInt64, UInt64))?
        for index in slots.indices {
            let slot = slots[index]
            guard let rank = slot.rank(at: now) else { continue }
            if !excluded.isEmpty, excluded.contains(slot.address) { continue }
            let key = (rank, slot.open, slot.lastPicked)
            if let current = best, key >= current.key { continue }
            best = (index, key)
        }
        guard let index = best?.index else { return nil }
        picks += 1
        slots[index].open += 1
        slots[index].lastPicked = picks
        return ServerPick(slots[index].place, number: picks)
    }

    /// The server accepted a connection.
    package mutating func opened(_ pick: ServerPick, at now: Instant) {
        guard let index = index(of: pick) else { return }
        slots[index].succeed(at: pick.endpoint, isProbe: false, at: now)
    }

    /// The server did not take the connection, or ended it at once: it is left out for a while, and the pick released.
    ///
    /// One that fails soon after a connect had succeeded is left out for longer each time, like one that fails in a row.
    package mutating func failed(
        _ pick: ServerPick,
        _ fault: ServerFault = .refused,
        at now: Instant
    ) {
        guard let index = index(of: pick) else { return }
        slots[index].fail(pick.number, fault, of: pick.endpoint, at: now)
        release(index)
    }

    /// The connection has ended, or was given up for a reason that does not speak against the server.
    package mutating func release(_ pick: ServerPick) {
        guard let index = index(of: pick) else { return }
        release(index)
    }

    private mutating func release(_ index: Int) {
        precondition(slots[index].open > 0, "\(slots[index].server): more releases than picks")
        slots[index].open -= 1
        if slots[index].open == 0, !slots[index].isPresent { slots.remove(at: index) }
    }

    func index(of pick: ServerPick) -> Int? { slots.firstIndex { $0.id == pick.server } }

    /// Open connections per server, without zeros.
    package var openCounts: [Endpoint: UInt64] {
        var counts: [Endpoint: UInt64] = [:]
        for slot in slots where slot.open > 0 { counts[slot.id] = slot.open }
        return counts
    }
}
