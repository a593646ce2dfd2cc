import NetworkModel
import ProxyContract
import Wire

/// Lanes that others take the place of.
///
/// Once the neighbor has another lane, each carries its streams to the end, and nothing new, and is closed when it is
/// empty; at the latest after `drain.grace`, whether there is another or not. Pure.
struct LaneDrains: Sendable {
    private struct Leaving: Sendable {
        let link: LinkConfiguration
        let deadline: Instant
        /// Nothing new is opened on it.
        var isRetired = false
        /// Looks in a row that found no stream: figures are up to 200 ms old.
        var emptyLooks = 0
    }

    private var leaving: [LaneID: Leaving] = [:]
    /// When the lanes are looked at next; nil while none leaves.
    private(set) var nextDeadline: Instant?
    private static let interval: Duration = .milliseconds(250)

    /// Others take the place of these lanes of a Link, as soon as they are there.
    mutating func add(
        _ lanes: [LaneID],
        of link: LinkConfiguration,
        grace: Duration,
        _ turn: inout Turn
    ) {
        for id in lanes {
            leaving[id] = Leaving(
                link: link,
                deadline: turn.now + grace
            )
        }
        if nextDeadline == nil, !leaving.isEmpty { nextDeadline = turn.now + Self.interval }
    }

    /// What Links cost that are configured no more, while lanes of theirs are left.
    var costs: [LinkName: LinkCost] {
        links.reduce(into: [:]) { $0[$1.name] = $1.cost }
    }

    /// What they cost for single services.
    var serviceCosts: [LinkName: [ServiceAddress: LinkCost]] {
        links.filter { !$0.serviceCosts.isEmpty }.reduce(into: [:]) {
            $0[$1.name] = $1.serviceCosts
        }
    }

    private var links: [LinkConfiguration] {
        leaving.sorted { $0.key < $1.key }.map(\.value.link)
    }

    /// The lane has ended; true when it was to be replaced.
    mutating func ended(_ id: LaneID) -> Bool {
        defer { if leaving.isEmpty { nextDeadline = nil } }
        return leaving.removeValue(forKey: id) != nil
    }

    /// Lanes have come that may take the place of others.
    mutating func lanesChanged(_ neighbors: AdjacencyTable, _ turn: inout Turn) {
        for id in leaving.keys.sorted() where leaving[id]?.isRetired == false {
            guard let neighbor = neighbors.owner(of: id).flatMap({ neighbors[$0] }),
                neighbor.lanes.contains(where: { leaving[$0.id] == nil }),
                let lane = neighbor.lanes.first(where: { $0.id == id })
            else { continue }
            leaving[id]?.isRetired = true
            turn.outputs.append(.retire(id, on: lane.loop))
        }
    }

    /// Gives the lanes that are empty, or whose time is over; `active`: streams that cross a lane.
    mutating func due(active: (LaneID) -> UInt64, at now: Instant) -> [LaneID] {
        guard let deadline = nextDeadline, deadline <= now else { return [] }
        nextDeadline = leaving.isEmpty ? nil : now + Self.interval
        var due: [LaneID] = []
        for (id, lane) in leaving {
            let emptyLooks = active(id) == 0 && lane.isRetired ? lane.emptyLooks + 1 : 0
            leaving[id]?.emptyLooks = emptyLooks
            if now >= lane.deadline || emptyLooks > 1 { due.append(id) }
        }
        return due.sorted()
    }
}
