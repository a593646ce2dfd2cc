import DequeModule
import NetworkModel
import Routing

/// An LSA as it came, not verified yet.
struct LSAArrival {
    let header: LSAHeader
    let bytes: [UInt8]
    let neighbor: ProxyID

    init(header: LSAHeader, bytes: [UInt8], neighbor: ProxyID) {
        self.header = header
        self.bytes = bytes
        self.neighbor = neighbor
    }
}

/// LSAs that wait: neighbors take turns, each with as many as it may have unacknowledged.
///
/// Pure. One that finds no room is dropped and comes again, as it was not acknowledged.
struct LSAArrivals {
    private var queues: [ProxyID: Deque<LSAArrival>] = [:]
    /// Neighbors with something in their queue, in the order of their turns.
    private var turns: Deque<ProxyID> = []

    var isEmpty: Bool { turns.isEmpty }

    /// False when the neighbor has too many waiting.
    mutating func append(_ arrival: LSAArrival) -> Bool {
        let neighbor = arrival.neighbor
        guard let count = queues[neighbor]?.count else {
            queues[neighbor] = [arrival]
            turns.append(neighbor)
            return true
        }
        guard count < RoutingLimits.unacknowledged else { return false }
        queues[neighbor]?.append(arrival)
        return true
    }

    mutating func next() -> LSAArrival? {
        guard let neighbor = turns.popFirst(), let arrival = queues[neighbor]?.popFirst() else {
            return nil
        }
        if queues[neighbor]?.isEmpty == true {
            queues[neighbor] = nil
        } else {
            turns.append(neighbor)
        }
        return arrival
    }
}
