package import NetworkAPI
package import NetworkModel

/// What one proxy has counted since it started, for one object.
package struct ProxyReading: Equatable, Sendable {
    package var proxy: ProxyID
    package var opened: UInt64
    package var failed: UInt64

    package init(proxy: ProxyID, opened: UInt64, failed: UInt64 = 0) {
        self.proxy = proxy
        self.opened = opened
        self.failed = failed
    }
}

/// Adds the growing counters of proxies that come and go into totals that never fall.
///
/// The cursors are kept in the object's status beside the totals and written with them, so that nothing is counted
/// twice whatever is restarted.
package struct CounterLedger: Equatable, Sendable {
    /// How many cursors an object keeps at most: the proxies that are there, then those that went last.
    package static let maximumCursors = 256

    package private(set) var cursors: [ProxyCursor]
    /// What was counted by `count` since this ledger was made.
    package private(set) var opened: Int64 = 0
    package private(set) var failed: Int64 = 0

    package init(cursors: [ProxyCursor]) { self.cursors = cursors }

    /// Takes the readings of every proxy that is there now.
    ///
    /// A proxy that is absent keeps its cursor for as long as there is room: it may only be out of sight.
    package mutating func count(_ readings: [ProxyReading]) {
        var known: [ProxyID: ProxyCursor] = [:]
        for cursor in cursors { known[cursor.proxy] = cursor }
        var present: [ProxyCursor] = []
        for reading in readings {
            var cursor =
                known.removeValue(forKey: reading.proxy) ?? ProxyCursor(proxy: reading.proxy)
            let last = cursor.opened ?? 0
            let now = Int64(clamping: reading.opened)
            cursor.opened = now
            opened = opened.addingSaturated(Self.growth(from: last, to: now))
            let lastFailed = cursor.failed ?? 0
            let nowFailed = Int64(clamping: reading.failed)
            failed = failed.addingSaturated(Self.growth(from: lastFailed, to: nowFailed))
            cursor.failed = nowFailed == 0 ? nil : nowFailed
            present.append(cursor)
        }
        let absent = cursors.filter { known[$0.proxy] != nil }
        let room = max(0, Self.maximumCursors - present.count)
        cursors = present.sorted { $0.proxy < $1.proxy } + absent.prefix(room)
    }

    /// Moves the failover cursor of one proxy; makes it when the proxy has none.
    package mutating func setFailovers(_ value: UInt64, of proxy: ProxyID) {
        let number = Int64(clamping: value)
        if let index = cursors.firstIndex(where: { $0.proxy == proxy }) {
            cursors[index].failovers = number
        } else {
            var cursor = ProxyCursor(proxy: proxy)
            cursor.failovers = number
            cursors.append(cursor)
        }
    }

    package func failovers(of proxy: ProxyID) -> UInt64 {
        UInt64(clamping: cursors.first { $0.proxy == proxy }?.failovers ?? 0)
    }

    /// A counter that fell was started anew, so all of it is new.
    private static func growth(from last: Int64, to now: Int64) -> Int64 {
        // A status can be edited: a cursor below zero is none.
        now >= last ? now - max(0, last) : now
    }
}
