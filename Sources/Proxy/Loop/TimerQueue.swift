import NetworkModel

/// The timers of one loop: a binary heap over a slab, so that setting and canceling cost O(log n) and O(1).
///
/// A canceled timer leaves its heap entry behind until it surfaces, or until such entries are the majority: then
/// the heap is built anew. So memory stays within twice the live timers.
struct TimerQueue {
    typealias Action = (EventLoop) -> Void

    private struct Slot {
        var generation: UInt32
        var deadline: Instant
        var action: Action?
    }

    private struct Entry {
        let deadline: Instant
        /// Equal deadlines fire in the order in which they were set.
        let order: UInt64
        let id: TimerID
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private var heap: [Entry] = []
    private var nextOrder: UInt64 = 0
    private(set) var count = 0

    /// The earliest deadline; it may be that of a canceled timer, which only costs a turn.
    var nextDeadline: Instant? { heap.first?.deadline }

    mutating func set(at deadline: Instant, _ action: @escaping Action) -> TimerID {
        let id: TimerID
        if let index = free.popLast() {
            slots[Int(index)].action = action
            slots[Int(index)].deadline = deadline
            id = TimerID(index: index, generation: slots[Int(index)].generation)
        } else {
            id = TimerID(index: UInt32(slots.count), generation: 0)
            slots.append(Slot(generation: 0, deadline: deadline, action: action))
        }
        heap.append(Entry(deadline: deadline, order: nextOrder, id: id))
        nextOrder += 1
        count += 1
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard take(id) != nil else { return }
        if heap.count > 64, heap.count > 2 * count { rebuild() }
    }

    /// Takes the action of the earliest timer that is due, if any.
    mutating func popDue(at now: Instant) -> Action? {
        while let first = heap.first, first.deadline <= now {
            removeFirst()
            if let action = take(first.id) { return action }
        }
        return nil
    }

    mutating func removeAll() {
        self = TimerQueue()
    }

    private mutating func take(_ id: TimerID) -> Action? {
        let index = Int(id.index)
        guard index < slots.count, slots[index].generation == id.generation,
            let action = slots[index].action.take()
        else { return nil }
        slots[index].generation &+= 1
        free.append(id.index)
        count -= 1
        return action
    }

    /// Nil when it has fired or was canceled.
    func deadline(of id: TimerID) -> Instant? {
        id.index < slots.count && isLive(id) ? slots[Int(id.index)].deadline : nil
    }

    private func isLive(_ id: TimerID) -> Bool {
        let index = Int(id.index)
        return slots[index].generation == id.generation && slots[index].action != nil
    }

    private mutating func rebuild() {
        heap = heap.filter { isLive($0.id) }
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(parent) }
    }

    private static func isBefore(_ left: Entry, _ right: Entry) -> Bool {
        left.deadline == right.deadline
            ? left.order < right.order : left.deadline < right.deadline
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.isBefore(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && Self.isBefore(heap[child], heap[least]) {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
