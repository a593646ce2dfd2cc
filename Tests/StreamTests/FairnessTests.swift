import NetworkModel
import Streaming
import Testing
import Wire

@testable import Proxy

@Suite("Fairness")
struct FairnessTests {
    private final class Conduit: FrameConduit {
        var requests = 0
        var sent = 0
        var isBacklogged = false
        var roundTrip: Duration? { nil }
        var leastRoundTrip: Duration?
        func send(_ type: UInt8, label: UInt32, _ payload: [UInt8]) { sent += 1 }
        func send(_ type: UInt8, label: UInt32, _ payload: RawSpan) { sent += 1 }
        func requestData() { requests += 1 }
        func close(_ closing: LaneClosing) {}
    }

    /// Has `rest` bytes to send.
    private final class Source: TestOwner {
        var rest: Int
        init(_ rest: Int) { self.rest = rest }

        override func produce(
            into buffer: inout FrameBuffer,
            limit: Int,
            at end: StreamEnd
        ) -> Bool {
            let count = min(rest, limit - FrameHeader.size)
            rest -= count
            buffer.append(type: .data, label: end.label, count: count) { _ in }
            return rest > 0
        }
    }

    /// Runs `body` with a carrier on a loop.
    private func withCarrier<Answer: Sendable>(
        _ body: @escaping @Sendable (StreamCarrier) throws -> Answer
    ) throws -> Answer {
        try withEngine { engine in
            let neighbor = ProxyID(site: engine.view.proxy.site, instance: 2)
            return try body(
                engine.attach(
                    Conduit(),
                    neighbor: neighbor,
                    isSidecar: false,
                    knowsResume: true,
                    knowsEarly: true
                )
            )
        }
    }

    private func withEngine<Answer: Sendable>(
        _ body: @escaping @Sendable (StreamEngine) throws -> Answer
    ) throws -> Answer {
        let thread = try EventLoopThread(index: 0)
        defer { thread.stop() }
        let site = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))
        let own = ProxyID(site: site, instance: 1)
        let view = DataPlaneView(
            proxy: own,
            isSidecar: false,
            services: [:],
            keys: KeyRing(),
            isDraining: false
        )
        return try thread.run { loop in
            let plane = StreamPlane(
                mailboxes: [loop.mailbox],
                accounts: NeighborAccounts(own: site)
            )
            return try body(StreamEngine(loop: loop, view: view, plane: plane))
        }
    }

    @Test("D10: a bulk stream beside 100 closed loops of 8 KiB gets its share")
    func bulkBesideLoops() throws {
        let (bulk, loops) = try withCarrier { carrier -> (Int, Int) in
            let total = 1 << 30
            let bulk = Source(total)
            let loops = (0..<100).map { _ in Source(8 << 10) }
            for source in [bulk] + loops {
                _ = carrier.open(source.end)
                carrier.enqueue(source.end)
            }
            var buffer = FrameBuffer()
            var answered = 0
            for _ in 0..<2_000 {
                buffer.removeAll()
                _ = carrier.produceData(into: &buffer, limit: 64 * 1024)
                // Whoever has had all asks for the next at once.
                for source in loops where source.rest == 0 {
                    answered += 8 << 10
                    source.rest = 8 << 10
                    carrier.enqueue(source.end)
                }
            }
            return (total - bulk.rest, answered)
        }
        #expect(bulk * 101 >= bulk + loops, "\(bulk) bytes of \(bulk + loops), of 101 streams")
        #expect(loops > bulk, "100 streams had \(loops) bytes, one had \(bulk)")
    }

    @Test("beside others a near neighbor's windows grow to what a fast hop carries, and no further")
    func enoughForNear() throws {
        let trips: [Duration?] = [.microseconds(50), .microseconds(500), .milliseconds(2), nil]
        let answers = try withCarrier { carrier in
            let owner = TestOwner()
            let ends = (0..<2).map { _ in LooseEnd(of: owner) }
            return ends.map { end in
                _ = carrier.open(end)
                return trips.map { trip in
                    (carrier.conduit as? Conduit)?.leastRoundTrip = trip
                    return [64, 128, 1024].map { carrier.needsNoMore(than: $0 << 10) }
                }
            }
        }
        let never = Array(repeating: [false, false, false], count: 4)
        #expect(answers[0] == never, "alone")
        #expect(answers[1] == [[false, true, true], [false, false, true]] + never[2...])
    }

    @Test("D4: acknowledgments of a stream in transit leave one at a time, however fast they come")
    func acknowledgmentsInTransit() throws {
        try withEngine { engine in
            let site = engine.view.proxy.site
            let (inside, outside) = (Conduit(), Conduit())
            let hops = (2...3).map { ProxyID(site: site, instance: $0) }
            let before = engine.attach(
                inside,
                neighbor: hops[0],
                isSidecar: false,
                knowsResume: true,
                knowsEarly: true
            )
            let after = engine.attach(
                outside,
                neighbor: hops[1],
                isSidecar: false,
                knowsResume: true,
                knowsEarly: true
            )
            let open = Open(
                name: StreamName(ingress: hops[0], number: 1),
                service: TestProxy.backend,
                route: [engine.view.proxy, hops[1]],
                target: site,
                client: Endpoint(address: loopback, port: 1),
                window: 65_536
            )
            let charge = try #require(StreamCharge(before.account, hasDescriptor: false))
            let stream = TransitConnection(open, isSigner: false, charge: charge, engine: engine)
            #expect(after.open(stream.outer))
            before.accept(stream.inner, label: 5)
            engine.add(stream)
            stream.receive(
                .opened(
                    Opened(egress: hops[1], window: 65_536, mac: Array(repeating: 0, count: 16))
                ),
                on: stream.outer
            )
            let told = outside.sent
            for window in 1...10_000 {
                var writer = FrameWriter()
                Acknowledgment(offset: 0, window: UInt32(window)).encode(into: &writer)
                unsafe before.received(.acknowledgment, label: 5, writer.bytes.span.bytes)
            }
            #expect(outside.sent == told, "they wait for their turn")
            var buffer = FrameBuffer()
            _ = after.produceData(into: &buffer, limit: 64 * 1024)
            #expect(buffer.count == FrameHeader.size + Acknowledgment.size)
            // What waits beyond bounds is not added to.
            outside.isBacklogged = true
            let late = Source(1)
            #expect(!after.open(late.end))
            engine.resetAll()
        }
    }

    @Test("busy streams get equal shares, and a small one that comes is served at once")
    func shares() throws {
        let (shares, turns) = try withCarrier { carrier -> ([Int], Int) in
            let total = 64 << 20
            let busy = (0..<4).map { _ in Source(total) }
            for source in busy {
                _ = carrier.open(source.end)
                carrier.enqueue(source.end)
            }
            var buffer = FrameBuffer()
            for _ in 0..<100 {
                buffer.removeAll()
                _ = carrier.produceData(into: &buffer, limit: 128 * 1024)
            }
            let small = Source(100)
            _ = carrier.open(small.end)
            carrier.enqueue(small.end)
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
                _ = carrier.open(source.end)
                carrier.enqueue(source.end)
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
            #expect(sources.allSatisfy { $0.rest == 0 && !$0.end.isQueued })
        }
    }
}
