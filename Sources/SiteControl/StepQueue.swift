import DequeModule

/// What has to be looked at, each once, in the order in which it was named: long work is done in steps.
struct StepQueue<Element: Hashable & Comparable & Sendable>: Sendable {
    private var queue: Deque<Element> = []
    private var members: Set<Element> = []

    var isEmpty: Bool { queue.isEmpty }

    mutating func append(_ elements: some Collection<Element>) {
        for element in elements.sorted() where members.insert(element).inserted {
            queue.append(element)
        }
    }

    mutating func removeAll() {
        queue = []
        members = []
    }

    /// At most `limit` of the first.
    mutating func take(_ limit: Int) -> [Element] {
        var taken: [Element] = []
        while taken.count < limit, let element = queue.popFirst() {
            members.remove(element)
            taken.append(element)
        }
        return taken
    }
}
