import Testing

@testable import Proxy

@Suite("Queues of a carrier")
struct QueueTests {
    @Test("a queue of ends keeps order and lets one be taken out of the middle")
    func queue() {
        var queue = StreamEndQueue()
        let owner = TestOwner()
        let ends = (0..<5).map { _ in LooseEnd(of: owner) }
        for end in ends { queue.append(end) }
        queue.remove(ends[2])
        queue.remove(ends[4])
        var order: [StreamEnd] = []
        while let end = queue.popFirst() { order.append(end) }
        #expect(order.map(ObjectIdentifier.init) == [0, 1, 3].map { ObjectIdentifier(ends[$0]) })
        queue.append(ends[4])
        #expect(queue.popFirst() === ends[4])
    }
}
