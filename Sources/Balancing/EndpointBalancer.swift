package import NetworkModel

/// A server that was chosen for a connection, which is counted already and has to be released, whatever becomes of it.
package struct ServerPick: Hashable, Sendable {
    package var endpoint: Endpoint
    /// Increases with every pick of the service port.
    package var number: UInt64
}

/// Chooses among the servers of one service port at this site.
///
/// The ready server with the fewest open connections wins, then the one picked longest ago, then the smaller endpoint.
/// If none is ready, those that serve while they terminate. A server that failed is avoided for a while, but tried when
/// there is no other. Every pick ends with exactly one of `failed` and `release`.
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
        /// What the last ejection had counted when a connect succeeded, and when that was.
        var recovered: (failures: Int, at: Instant)?
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
                slot.recovered = nil
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
    package mutating func pick(
        excluding excluded: [Endpoint] = [],
        at now: Instant
    ) -> ServerPick? {
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
        return ServerPick(endpoint: slots[index].server.endpoint, number: picks)
    }

    /// The server accepted a connection.
    package mutating func opened(_ pick: ServerPick, at now: Instant) {
        guard let index = index(of: pick.endpoint), let ejection = slots[index].ejection else {
            return
        }
        slots[index].ejection = nil
        slots[index].recovered = (ejection.failures, now)
    }

    /// The server refused the connection, or reset it at once: it is avoided for a while, and the pick released.
    ///
    /// One that fails soon after a connect had succeeded is avoided for longer each time, like one that fails in a row.
    package mutating func failed(_ pick: ServerPick, at now: Instant) {
        guard let index = index(of: pick.endpoint) else { return }
        if slots[index].ejection != nil {
            slots[index].ejection?.fail(pick.number, at: now)
        } else {
            let before = slots[index].recovered
                .flatMap { now - $0.at <= Ejection.longest ? $0.failures : nil }
            slots[index].ejection = Ejection(
                reason: .connectRefused,
                after: before ?? 0,
                at: now
            )
        }
        release(index)
    }

    /// The connection has ended, or was given up for a reason that does not speak against the server.
    package mutating func release(_ pick: ServerPick) {
        guard let index = index(of: pick.endpoint) else { return }
        slots[index].ejection?.abandonProbe(pick.number)
        release(index)
    }

    private mutating func release(_ index: Int) {
        precondition(slots[index].open > 0, "\(slots[index].server): more releases than picks")
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
