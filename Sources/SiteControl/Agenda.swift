import HeapModule
import NetworkModel

/// When which of many things is due: setting one costs the same however many there are.
struct Agenda<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        let at: Instant
        /// Breaks ties, so that equal inputs have equal outputs.
        let order: UInt64
        let key: Key

        static func < (left: Self, right: Self) -> Bool {
            (left.at, left.order) < (right.at, right.order)
        }

        static func == (left: Self, right: Self) -> Bool {
            (left.at, left.order) == (right.at, right.order)
        }
    }

    private var heap = Heap<Entry>()
    /// The number of the entry that counts; others of the same key are old.
    private var current: [Key: (at: Instant, order: UInt64)] = [:]
    private var order: UInt64 = 0

    /// When the next one is due; nil while there is none.
    var next: Instant? { heap.min?.at }

    /// Nil: not at all.
    mutating func set(_ key: Key, at instant: Instant?) {
        guard current[key]?.at != instant else { return }
        order += 1
        current[key] = instant.map { ($0, order) }
        if let instant { heap.insert(Entry(at: instant, order: order, key: key)) }
        dropOld()
    }

    /// Those that are due, in the order of their times; they are due no more.
    mutating func popDue(at now: Instant) -> [Key] {
        var due: [Key] = []
        while let entry = heap.min, entry.at <= now {
            heap.removeMin()
            if current[entry.key]?.order == entry.order {
                current[entry.key] = nil
                due.append(entry.key)
            }
            dropOld()
        }
        return due
    }

    private mutating func dropOld() {
        while let entry = heap.min, current[entry.key]?.order != entry.order { heap.removeMin() }
    }
}
