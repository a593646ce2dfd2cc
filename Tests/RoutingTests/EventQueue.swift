import HeapModule
import NetworkModel

/// What happens at which moment; of what happens at the same one, what was put in first comes first.
///
/// Most of it happens at few moments: to put one in costs the same however many wait.
struct EventQueue<Event> {
    private var moments = Heap<Instant>()
    private var waiting: [Instant: [Event]] = [:]

    /// The earliest moment.
    var next: Instant? { moments.min }

    mutating func add(_ event: Event, at moment: Instant) {
        if waiting[moment] == nil { moments.insert(moment) }
        waiting[moment, default: []].append(event)
    }

    /// Takes out what happens at the earliest moment, in order.
    mutating func popFirst() -> [Event] {
        moments.popMin().flatMap { waiting.removeValue(forKey: $0) } ?? []
    }
}
