import NetworkModel
import Wire

/// The lanes of one Link that carry bulk beside its others: dialed when a loop asks for one, closed there when they are idle.
///
/// Each belongs to the proxy at the other end of the lane that it was asked for; another one that answers is not wanted. They
/// say nothing of the Link's state, and come back only when they are asked for again. Pure.
struct BulkLanes: Sendable {
    /// Between two proxies, by one Link and in one direction of dialing.
    static let limit = 16

    private struct Lane: Sendable {
        let neighbor: ProxyID
        var isUp = false
    }

    private var lanes: [LaneID: Lane] = [:]
    private var backoff = Backoff.dialing
    /// An attempt has failed: there is none before.
    private var notBefore: Instant?

    /// Every lane that was dialed and has neither ended nor been replaced.
    var all: [LaneID] { lanes.keys.sorted() }

    func contains(_ id: LaneID) -> Bool { lanes[id] != nil }

    func mayDial(to neighbor: ProxyID, at now: Instant) -> Bool {
        guard notBefore.map({ $0 <= now }) ?? true else { return false }
        return lanes.values.count { $0.neighbor == neighbor } < Self.limit
    }

    mutating func dialed(_ id: LaneID, to neighbor: ProxyID) {
        lanes[id] = Lane(neighbor: neighbor)
    }

    /// HELLOs were exchanged; false when the lane has to be closed.
    mutating func isUp(_ id: LaneID, _ hello: Hello) -> Bool {
        guard lanes[id]?.neighbor == hello.proxy, hello.minor >= Hello.bulkMinor else {
            return false
        }
        lanes[id]?.isUp = true
        return true
    }

    /// False when it is none of them.
    mutating func ended(_ id: LaneID, _ desk: inout DialDesk, at now: Instant) -> Bool {
        guard let lane = lanes.removeValue(forKey: id) else { return false }
        if lane.isUp {
            backoff.reset()
        } else {
            notBefore = now + backoff.next(using: &desk.random)
        }
        return true
    }

    /// Forgets them: those that are up, and those that were still being dialed.
    mutating func removeAll() -> (up: [LaneID], dialing: [LaneID]) {
        let ids = all
        let up = ids.filter { lanes[$0]?.isUp == true }
        lanes = [:]
        return (up, ids.filter { !up.contains($0) })
    }

    /// Forgets those of `leaving` that are up, and gives them.
    mutating func remove(_ leaving: Set<LaneID>) -> [LaneID] {
        let up = all.filter { leaving.contains($0) && lanes[$0]?.isUp == true }
        for id in up { lanes[id] = nil }
        return up
    }
}
