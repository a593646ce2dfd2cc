import NetworkModel
import Testing
import Wire

@testable import Proxy

@Suite("Fairness")
struct FairnessTests {
    private final class Conduit: FrameConduit {
        var requests = 0
        var roundTrip: Duration? { nil }
        func send(_ type: UInt8, label: UInt32, _ payload: [UInt8]) {}
        func send(_ type: UInt8, label: UInt32, _ payload: RawSpan) {}
        func requestData() { requests += 1 }
        func close(_ closing: LaneClosing) {}
    }

    /// Has `rest` bytes to send.
    private final class Source: StreamEnd {
        var rest: Int
        init(_ rest: Int) { self.rest = rest }

        override func produce(into buffer: inout FrameBuffer, limit: Int) -> Bool {
            let count = min(rest, limit - FrameHeader.size)
            rest -= count
            buffer.append(type: .data, label: label, count: count) { _ in }
            return rest > 0
        }
    }

    /// Runs `body` with a carrier on a loop.
    private func withCarrier<Answer: Sendable>(
        _ body: @escaping @Sendable (StreamCarrier) throws -> Answer
    ) throws -> Answer {
        let thread = try EventLoopThread(index: 0)
        defer { thread.stop() }
        let site = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
        let own = ProxyID(site: site, instance: 1)
        let view = DataPlaneView(
            proxy: own,
            isEdge: false,
            services: [:],
            keys: KeyRing(),
            isDraining: false
        )
        return try thread.run { loop in
            let plane = StreamPlane(
                mailboxes: [loop.mailbox],
                accounts: NeighborAccounts(own: site)
            )
            let engine = StreamEngine(loop: loop, view: view, plane: plane)
            let neighbor = ProxyID(site: site, instance: 2)
            return try body(engine.attach(Conduit(), neighbor: neighbor, isEdge: false))
        }
    }

    @Test("busy streams get equal shares, and a small one that comes is served at once")
    func shares() throws {
        let (shares, turns) = try withCarrier { carrier -> ([Int], Int) in
            let total = 64 << 20
            let busy = (0..<4).map { _ in Source(total) }
            for source in busy {
                _ = carrier.open(source)
                carrier.enqueue(source)
            }
            var buffer = FrameBuffer()
            for _ in 0..<100 {
                buffer.removeAll()
                _ = carrier.produceData(into: &buffer, limit: 128 * 1024)
            }
            let small = Source(100)
            _ = carrier.open(small)
            carrier.enqueue(small)
            var turns = 0
            while small.rest > 0, turns < 10 {
                turns += 1
                buffer.removeAll()
                _ = carrier.produceData(into: &buffer, limit: 128 * 1024)
            }
            return (busy.map { total - $0.rest }, turns)
        }
        #expect(turns == 1)
        let (least, most) = (shares.min() ?? 0, shares.max() ?? 0)
        #expect(least > 2 << 20)
        #expect(most - least <= 128 * 1024, "\(shares)")
    }

    @Test("a batch stays near its limit, and every stream has had all when nothing more comes")
    func drained() throws {
        try withCarrier { carrier in
            let sources = (0..<50).map { Source(1 + $0 * 10_000) }
            for source in sources {
                _ = carrier.open(source)
                carrier.enqueue(source)
            }
            var buffer = FrameBuffer()
            var batches = 0
            while true {
                buffer.removeAll()
                _ = carrier.produceData(into: &buffer, limit: 64 * 1024)
                guard !buffer.isEmpty else { break }
                batches += 1
                #expect(buffer.count <= 64 * 1024 + 64)
            }
            #expect(batches > 100)
            #expect(sources.allSatisfy { $0.rest == 0 && !$0.isQueued })
        }
    }
}
