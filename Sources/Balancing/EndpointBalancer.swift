package import NetworkModel

/// Chooses among the servers of one service port at this site.
///
/// The ready server with the fewest open connections wins, then the one picked longest ago, then the smaller endpoint.
/// If none is ready, those that serve while they terminate. A server that failed is avoided for a while, but tried when
/// there is no other.
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

    private struct Slot: Sendable {
        var server: Server
        var open: UInt64 = 0
        var lastPicked: UInt64 = 0
        var ejection: Ejection?
    }

    /// Sorted by endpoint; a server that is gone stays, neither ready nor serving, while connections are open to it.
    private var slots: [Slot] = []
    private var picks: UInt64 = 0

    package init() {}

    /// Takes the servers that exist now; connections to others stay counted until released.
    ///
    /// True when one of them is ready that was not before.
    @discardableResult
    package mutating func update(_ servers: [Server]) -> Bool {
        var isRenewed = false
        var rest: [Endpoint: Slot] = [:]
        for slot in slots { rest[slot.server.endpoint] = slot }
        var updated: [Slot] = []
        for server in servers.sorted(by: { $0.endpoint < $1.endpoint }) {
            if let last = updated.last, last.server.endpoint == server.endpoint {
                // Two slices may name one endpoint while it moves between them.
                updated[updated.count - 1].server.isReady = last.server.isReady || server.isReady
                updated[updated.count - 1].server.isServing =
                    last.server.isServing || server.isServing
                continue
            }
            let old = rest.removeValue(forKey: server.endpoint)
            var slot = old ?? Slot(server: server)
            if server.isReady, old?.server.isReady != true {
                slot.ejection = nil
                isRenewed = true
            }
            slot.server = server
            updated.append(slot)
        }
        for var slot in rest.values where slot.open > 0 {
            slot.server.isReady = false
            slot.server.isServing = false
            updated.append(slot)
        }
        slots = updated.sorted { $0.server.endpoint < $1.server.endpoint }
        return isRenewed
    }

    /// Counts the connection as open to the chosen server.
    ///
    /// Nil when every usable server is in `excluded`.
    package mutating func pick(excluding excluded: [Endpoint] = [], at now: Instant) -> Endpoint? {
        let anyReady = slots.contains { $0.server.isReady }
        var best: (index: Int, key: (Int, UInt64, UInt64))?
        for index in slots.indices {
            let slot = slots[index]
            guard anyReady ? slot.server.isReady : slot.server.isServing else { continue }
            if !excluded.isEmpty, excluded.contains(slot.server.endpoint) { continue }
            let isEjected = slot.ejection.map { !$0.isDue(at: now) } ?? false
            let key = (isEjected ? 1 : 0, slot.open, slot.lastPicked)
            if let current = best, key >= current.key { continue }
            best = (index, key)
        }
        guard let index = best?.index else { return nil }
        picks += 1
        slots[index].open += 1
        slots[index].lastPicked = picks
        slots[index].ejection?.startProbe(picks, at: now)
        return slots[index].server.endpoint
    }

    /// The server accepted a connection.
    package mutating func opened(_ endpoint: Endpoint) {
        guard let index = index(of: endpoint) else { return }
        slots[index].ejection = nil
    }

    /// The connect failed: the server is avoided for a while, and the pick released.
    package mutating func failed(_ endpoint: Endpoint, at now: Instant) {
        guard let index = index(of: endpoint) else { return }
        if let probe = slots[index].ejection?.probe {
            slots[index].ejection?.fail(probe, at: now)
        } else {
            slots[index].ejection =
                slots[index].ejection ?? Ejection(reason: .connectRefused, at: now)
        }
        release(endpoint)
    }

    /// The connection has ended.
    package mutating func release(_ endpoint: Endpoint) {
        guard let index = index(of: endpoint) else { return }
        precondition(slots[index].open > 0, "\(endpoint): more releases than picks")
        slots[index].open -= 1
        let slot = slots[index]
        if slot.open == 0, !slot.server.isReady, !slot.server.isServing { slots.remove(at: index) }
    }

    private func index(of endpoint: Endpoint) -> Int? {
        slots.firstIndex { $0.server.endpoint == endpoint }
    }

    package var readyCount: UInt32 { UInt32(clamping: slots.count { $0.server.isReady }) }

    /// Servers that still serve while they terminate.
    package var terminatingCount: UInt32 {
        UInt32(clamping: slots.count { !$0.server.isReady && $0.server.isServing })
    }

    /// Open connections per server, without zeros.
    package var openCounts: [Endpoint: UInt64] {
        var counts: [Endpoint: UInt64] = [:]
        for slot in slots where slot.open > 0 { counts[slot.server.endpoint] = slot.open }
        return counts
    }
}
