import HeapModule
import NetworkModel

/// When each neighbor has to be looked at next: to set one, and to find those that are due, costs O(log n).
///
/// An entry that was set anew leaves its old one behind until that surfaces; old ones are never the majority for long.
struct WakeList: Sendable {
    private struct Entry: Comparable, Sendable {
        let at: Instant
        let neighbor: ProxyID

        static func < (left: Self, right: Self) -> Bool {
            (left.at, left.neighbor) < (right.at, right.neighbor)
        }
    }

    private var heap = Heap<Entry>()
    private var times: [ProxyID: Instant] = [:]

    /// The earliest.
    var next: Instant? { heap.min?.at }

    /// Nil: never.
    mutating func set(_ neighbor: ProxyID, at time: Instant?) {
        guard times[neighbor] != time else { return }
        times[neighbor] = time
        if let time { heap.insert(Entry(at: time, neighbor: neighbor)) }
        if heap.count > 64, heap.count > 2 * times.count {
            heap = Heap(times.map { Entry(at: $0.value, neighbor: $0.key) })
        }
        dropOld()
    }

    /// Takes out those that are due, in their order.
    mutating func popDue(at now: Instant) -> [ProxyID] {
        var due: [ProxyID] = []
        while let first = heap.min, first.at <= now {
            heap.removeMin()
            guard times[first.neighbor] == first.at else { continue }
            times[first.neighbor] = nil
            due.append(first.neighbor)
        }
        dropOld()
        return due.sorted()
    }

    /// The first entry counts always.
    private mutating func dropOld() {
        while let first = heap.min, times[first.neighbor] != first.at { heap.removeMin() }
    }
}
