import NetworkModel
import ProxyContract
import Routing
import Wire

/// Every neighbor with its lanes, as loop 0 knows them.
///
/// An adjacency is decided by the ProxyID in HELLO: it exists while at least one of its lanes lives. Pure.
struct AdjacencyTable {
    enum Kind: Hashable {
        /// A gateway of another site.
        case remote
        /// A gateway of this site, seen by another one.
        case sibling
        /// A sidecar of this site, seen by its gateway.
        case sidecar
        /// A gateway of this site, seen by a sidecar.
        case home
    }

    struct LaneEntry {
        let id: LaneID
        let loop: Int
        /// Nil for lanes to and from sidecars.
        let edge: EdgeName?
        let isDialed: Bool
        /// At the other end of the TCP connection.
        let remote: Endpoint
        /// It carries bulk, beside others.
        var isBulk = false
        /// What the acceptor of a dialed lane calls it; nil when it knows of no bulk lanes.
        var numberThere: UInt64?
        var figures = LaneFigures()
    }

    struct Adjacency {
        let neighbor: ProxyID
        let kind: Kind
        /// What the neighbor's site calls itself.
        var name: String
        var loops: Int
        /// In the order of establishment, those for bulk behind the others: the first carries the control frames.
        var lanes: [LaneEntry]
        /// A sidecar that says which services it wants.
        let tellsWants: Bool
        /// It knows what a bulk lane is.
        let knowsBulk: Bool
        /// It reads policies behind a table.
        let knowsPolicies: Bool
        /// It reads of first bytes that travel with OPEN.
        let knowsEarly: Bool
        var isDraining = false

        var edges: [EdgeName] { Set(lanes.compactMap(\.edge)).sorted() }
    }

    private(set) var adjacencies: [ProxyID: Adjacency] = [:]
    private var owners: [LaneID: ProxyID] = [:]

    static let neighborLimit = 4_096

    subscript(neighbor: ProxyID) -> Adjacency? { adjacencies[neighbor] }

    func owner(of lane: LaneID) -> ProxyID? { owners[lane] }

    var isFull: Bool { adjacencies.count >= Self.neighborLimit }

    /// True when the adjacency is new.
    @discardableResult
    mutating func add(_ lane: LaneEntry, _ hello: Hello, kind: Kind) -> Bool {
        owners[lane.id] = hello.proxy
        guard adjacencies[hello.proxy] != nil else {
            adjacencies[hello.proxy] = Adjacency(
                neighbor: hello.proxy,
                kind: kind,
                name: hello.name,
                loops: hello.loops,
                lanes: [lane],
                tellsWants: hello.isSidecar && hello.minor >= Hello.wantsMinor,
                knowsBulk: hello.minor >= Hello.bulkMinor,
                knowsPolicies: hello.minor >= Hello.policyMinor,
                knowsEarly: hello.minor >= Hello.earlyMinor
            )
            return true
        }
        let ordinary = adjacencies[hello.proxy]?.lanes.firstIndex { $0.isBulk }
        if let ordinary, !lane.isBulk {
            adjacencies[hello.proxy]?.lanes.insert(lane, at: ordinary)
        } else {
            adjacencies[hello.proxy]?.lanes.append(lane)
        }
        adjacencies[hello.proxy]?.name = hello.name
        return false
    }

    /// What the end of a lane means for its adjacency.
    struct Removal {
        let neighbor: ProxyID
        let kind: Kind
        let lane: LaneEntry
        /// The last lane: the adjacency is gone.
        let isLast: Bool
        /// Control frames may have been lost with it.
        let wasFirst: Bool
    }

    mutating func remove(_ id: LaneID) -> Removal? {
        guard let neighbor = owners.removeValue(forKey: id), var adjacency = adjacencies[neighbor],
            let index = adjacency.lanes.firstIndex(where: { $0.id == id })
        else { return nil }
        let lane = adjacency.lanes.remove(at: index)
        adjacencies[neighbor] = adjacency.lanes.isEmpty ? nil : adjacency
        return Removal(
            neighbor: neighbor,
            kind: adjacency.kind,
            lane: lane,
            isLast: adjacency.lanes.isEmpty,
            wasFirst: index == 0
        )
    }

    func lane(_ id: LaneID) -> LaneEntry? {
        owners[id].flatMap { adjacencies[$0]?.lanes.first { $0.id == id } }
    }

    mutating func setDraining(_ neighbor: ProxyID) { adjacencies[neighbor]?.isDraining = true }

    var laneCount: Int { owners.count }

    func figures(of id: LaneID) -> LaneFigures? {
        lane(id)?.figures
    }

    /// Figures of lanes came.
    mutating func measured(_ figures: [LaneID: LaneFigures]) {
        for (id, new) in figures {
            guard let neighbor = owners[id],
                let index = adjacencies[neighbor]?.lanes.firstIndex(where: { $0.id == id })
            else { continue }
            adjacencies[neighbor]?.lanes[index].figures = new
        }
    }

    /// Sends a control frame over the neighbor's first lane; nothing when there is none.
    func send(_ type: FrameType, _ payload: [UInt8], to neighbor: ProxyID, _ turn: inout Turn) {
        guard let lane = adjacencies[neighbor]?.lanes.first else { return }
        if payload.count > FrameHeader.maximumPayload {
            turn.log(
                "a \(type) of \(payload.count) bytes is longer than a frame may be: the lane to \(neighbor) ends"
            )
        }
        turn.outputs.append(.send(type, payload, on: lane.id, loop: lane.loop))
    }

    /// Neighbors of a kind, in order.
    func neighbors(_ kind: Kind) -> [ProxyID] {
        adjacencies.values.filter { $0.kind == kind }.map(\.neighbor).sorted()
    }

    /// Lanes that this proxy dialed to `neighbor`.
    func dialedLanes(to neighbor: ProxyID) -> Int {
        (adjacencies[neighbor]?.lanes ?? []).count { $0.isDialed }
    }
}
