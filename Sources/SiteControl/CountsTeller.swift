import NetworkModel
import Wire

/// Tells neighbors open connections by differences: at once after quiet, then at most every 50 ms.
///
/// After frames to a neighbor may have been lost everything is told it anew. Pure.
struct CountsTeller: Sendable {
    private struct Neighbor: Sendable {
        /// By origin: what it was told.
        var outboxes: [ProxyID: CountsOutbox] = [:]
        /// Frames may have been lost: everything is told anew.
        var needsAll = true
    }

    private var neighbors: [ProxyID: Neighbor] = [:]
    private var version: UInt64 = 0
    private var dirty: Set<ServicePort> = []
    private var lastSent = Instant(nanoseconds: 0)
    /// When the neighbors are to be told; nil while there is nothing to tell.
    private(set) var nextDeadline: Instant?
    private static let interval: Duration = .milliseconds(50)

    mutating func neighborUp(_ neighbor: ProxyID, at now: Instant) {
        neighbors[neighbor] = Neighbor()
        touch([], at: now)
    }

    /// Control frames to this neighbor may have been lost.
    mutating func disturbed(_ neighbor: ProxyID, at now: Instant) {
        neighbors[neighbor]?.needsAll = true
        touch([], at: now)
    }

    mutating func neighborDown(_ neighbor: ProxyID) { neighbors[neighbor] = nil }

    /// Counts of these services changed.
    mutating func touch(_ services: some Sequence<ServicePort>, at now: Instant) {
        dirty.formUnion(services)
        guard nextDeadline == nil, !neighbors.isEmpty else { return }
        nextDeadline = max(lastSent + Self.interval, now)
    }

    /// A neighbor to tell, and whether anew.
    struct Telling {
        let neighbor: ProxyID
        let isAnew: Bool
    }

    /// Whom to tell now, of which services; empty when it is not time.
    mutating func take(at now: Instant) -> (neighbors: [Telling], services: Set<ServicePort>) {
        guard let deadline = nextDeadline, deadline <= now else { return ([], []) }
        nextDeadline = nil
        lastSent = now
        defer { dirty = [] }
        let tellings = neighbors.keys.sorted().map { neighbor in
            let isAnew = neighbors[neighbor]?.needsAll == true
            if isAnew { neighbors[neighbor] = Neighbor(needsAll: false) }
            return Telling(neighbor: neighbor, isAnew: isAnew)
        }
        return (tellings, dirty)
    }

    /// What an origin counts: of one service, and all of it.
    struct Source {
        let count: (ServicePort) -> [SiteID: UInt64]?
        let all: () -> CountsTable

        static func table(_ table: CountsTable) -> Source {
            Source(count: { table[$0] }, all: { table })
        }
    }

    /// Tells a neighbor what changed of an origin.
    mutating func tell(
        _ neighbor: ProxyID,
        of origin: ProxyID,
        _ changed: Set<ServicePort>,
        isAnew: Bool = false,
        _ source: Source,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        let isKnown = neighbors[neighbor]?.outboxes[origin] != nil
        let frame = neighbors[neighbor]?.outboxes[origin, default: CountsOutbox()]
            .frame(
                origin: origin,
                version: version + 1,
                services: isKnown ? changed : nil,
                anew: isAnew,
                source.count,
                all: source.all
            )
        if let counts = frame ?? nil { send(counts, to: neighbor, over: lanes, &turn) }
    }

    /// Tells a neighbor that an origin has nothing open, if it was told of any.
    mutating func retract(
        _ origin: ProxyID,
        from neighbor: ProxyID,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        guard neighbors[neighbor]?.outboxes.removeValue(forKey: origin) != nil else { return }
        let counts = Counts(origin: origin, version: version + 1, extent: .origin, entries: [])
        send(counts, to: neighbor, over: lanes, &turn)
    }

    private mutating func send(
        _ counts: Counts,
        to neighbor: ProxyID,
        over lanes: AdjacencyTable,
        _ turn: inout Turn
    ) {
        for fragment in counts.fragments() {
            version = fragment.version
            lanes.send(.counts, fragment.encoded, to: neighbor, &turn)
        }
    }
}
