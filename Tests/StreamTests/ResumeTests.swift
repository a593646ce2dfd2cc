import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import Proxy

/// A client's proxy, two in the middle, and a server's: two ways.
private struct Diamond {
    let near: TestProxy
    let left: TestProxy
    let right: TestProxy
    let far: TestProxy
    let port: UInt16

    init(
        loops: Int = 1,
        grace: Duration = .seconds(10),
        oldRight: Bool = false,
        hasRight: Bool = true,
        memory: StreamEngine.Memory = .init()
    ) throws {
        near = try TestProxy(FixtureSite("near"), loops: loops, grace: grace, memory: memory)
        left = try TestProxy(FixtureSite("left"), grace: grace)
        right = try TestProxy(FixtureSite("right"), instance: 2, grace: grace)
        far = try TestProxy(FixtureSite("far"), loops: loops, grace: grace)
        try near.link(to: left)
        try left.link(to: far)
        if hasRight {
            try near.link(to: right, loop: loops - 1, knowsResume: !oldRight)
            try right.link(to: far, otherLoop: loops - 1)
        }
        try near.knows([far])
        try far.knows([near])
        try near.targets([
            TestProxy.Way(
                site: far.site.id,
                cost: 2,
                route: [left.id, far.id],
                detours: [[right.id, far.id]]
            )
        ])
        port = try near.listen()
    }

    var all: [TestProxy] { [near, left, right, far] }

    func stop(but stopped: TestProxy? = nil) {
        for proxy in all where proxy !== stopped { proxy.stop() }
    }

    func isEmptied() -> Bool {
        eventually { all.allSatisfy { (try? $0.isEmpty) == true } }
    }

    var detachedCount: Int {
        get throws { try near.withEngine { $0.detachedCount } }
    }
}

@Suite("Streams that outlive their path", .timeLimit(.minutes(2)), .serialized)
struct ResumeTests {
    /// Exchanges patterns both ways, and calls `disturb` in the midst of it.
    private func exchange(
        _ size: UInt64,
        on diamond: Diamond,
        _ disturb: () throws -> Void
    ) throws {
        let isDisturbed = Promise<Bool>()
        let server = TestServer { client in
            let writing = TestThread { client.writePattern(size) }
            let read = client.readPattern()
            _ = writing.value
            _ = isDisturbed.value
            if read.isRight, read.count == size, read.end == .endOfFile { client.finishWriting() }
        }
        diamond.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: diamond.port))
        let writing = TestThread {
            defer { client.finishWriting() }
            return client.writePattern(size)
        }
        let reading = TestThread { client.readPattern() }
        // A stream on which nothing has passed may be opened anew.
        #expect(eventually { (try? diamond.near.ringBytes) ?? 0 > 0 })
        try disturb()
        isDisturbed.fulfill(true)
        let read = try #require(reading.value)
        #expect(writing.value == true)
        #expect(read.isRight)
        #expect(read.count == size)
        #expect(read.end == .endOfFile)
        #expect(server.acceptedCount == 1)
        #expect(diamond.near.shared.counters.interrupted == 0)
    }

    @Test("a lane that is cut in the midst of 32 MiB each way: not a byte is lost or doubled")
    func laneCut() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        try exchange(32 << 20, on: diamond) {
            usleep(30_000)
            try diamond.near.cutLanes(to: diamond.left.id)
        }
        #expect(diamond.isEmptied())
    }

    @Test("the hop's other lane is cut: the hop tells the ingress")
    func farLaneCut() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        try exchange(32 << 20, on: diamond) {
            usleep(30_000)
            try diamond.far.cutLanes(to: diamond.left.id)
        }
        #expect(diamond.isEmptied())
    }

    @Test("a transit proxy that stops takes nothing with it")
    func transitStops() throws {
        let diamond = try Diamond()
        defer { diamond.stop(but: diamond.left) }
        try exchange(32 << 20, on: diamond) {
            usleep(30_000)
            diamond.left.stop()
        }
    }

    @Test("a lane is cut and dialed again, ten times; paths change to and fro")
    func manyCuts() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        try exchange(64 << 20, on: diamond) {
            for round in 0..<10 {
                usleep(20_000)
                let hop = round % 2 == 0 ? diamond.left : diamond.right
                try diamond.near.cutLanes(to: hop.id)
                usleep(5_000)
                try diamond.near.link(to: hop)
            }
        }
        #expect(diamond.isEmptied())
    }

    @Test("the stream stays on its loop at both ends, whatever loop the new path comes to")
    func otherLoop() throws {
        let diamond = try Diamond(loops: 2)
        defer { diamond.stop() }
        for _ in 0..<4 {
            try exchange(8 << 20, on: diamond) {
                usleep(10_000)
                try diamond.near.cutLanes(to: diamond.left.id)
            }
            try diamond.near.link(to: diamond.left)
        }
        #expect(diamond.isEmptied())
    }

    @Test("a client that has half-closed gets its answer over another path")
    func halfClosed() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        let mayAnswer = Promise<Bool>()
        let server = TestServer { client in
            let read = client.readPattern()
            guard read.isRight, read.end == .endOfFile else { return client.reset() }
            _ = mayAnswer.value
            _ = client.writePattern(read.count * 2)
        }
        diamond.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: diamond.port))
        #expect(client.writePattern(100_000))
        client.finishWriting()
        usleep(100_000)
        try diamond.near.cutLanes(to: diamond.left.id)
        mayAnswer.fulfill(true)
        let read = client.readPattern()
        #expect(read.isRight && read.count == 200_000 && read.end == .endOfFile)
        #expect(diamond.isEmptied())
    }

    @Test("without a way back both ends are reset when the grace is over, and hear no FIN")
    func noWayBack() throws {
        let diamond = try Diamond(grace: .milliseconds(500), hasRight: false)
        defer { diamond.stop() }
        let end = Promise<TestSocket.End?>()
        let server = TestServer { client in
            client.write(Array("hello".utf8))
            end.fulfill(client.read().end)
        }
        diamond.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: diamond.port))
        #expect(client.read(limit: 5).bytes == Array("hello".utf8))
        let clock = ContinuousClock()
        let start = clock.now
        try diamond.near.cutLanes(to: diamond.left.id)
        #expect(client.read().end == .reset)
        #expect(clock.now - start >= .milliseconds(450))
        #expect(end.value == .reset)
        #expect(diamond.isEmptied())
        #expect(diamond.near.shared.counters.interrupted == 1)
    }

    @Test("a server that resets meanwhile is not waited for: the client hears of it at once")
    func resetMeanwhile() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        let mayReset = Promise<Bool>()
        let server = TestServer { client in
            client.write(Array("hello".utf8))
            _ = mayReset.value
            client.reset()
        }
        diamond.far.servers([server.port])
        // No way back until the server has reset.
        try diamond.right.cutLanes(to: diamond.near.id)
        let client = try #require(TestSocket.connected(to: diamond.port))
        #expect(client.read(limit: 5).bytes == Array("hello".utf8))
        try diamond.near.cutLanes(to: diamond.left.id)
        #expect(eventually { (try? diamond.detachedCount) == 1 })
        mayReset.fulfill(true)
        #expect(eventually { (try? diamond.far.streamCount) == 0 })
        try diamond.near.link(to: diamond.left)
        #expect(client.read().end == .reset)
        #expect(diamond.isEmptied())
    }

    @Test("what a neighbor carried that is not allowed any more ends at once")
    func revoked() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        let server = TestServer.named("far")
        diamond.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: diamond.port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        try diamond.near.cutLanes(to: diamond.left.id, .notAllowed)
        #expect(client.read().end == .reset)
        #expect(diamond.isEmptied())
    }

    @Test("a hop that does not know RESUME is never asked; a stream over it is reset as before")
    func oldHop() throws {
        let diamond = try Diamond(grace: .milliseconds(300), oldRight: true)
        defer { diamond.stop() }
        let server = TestServer.named("far")
        diamond.far.servers([server.port])
        let client = try #require(TestSocket.connected(to: diamond.port))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        // Its only way back is over the old hop.
        try diamond.near.cutLanes(to: diamond.left.id)
        #expect(client.read().end == .reset)
        #expect(diamond.isEmptied())
        // One that was opened over it has no grace: the server hears of the loss at once.
        let second = try #require(TestSocket.connected(to: diamond.port))
        #expect(second.read(limit: 4).bytes == Array("far\n".utf8))
        try diamond.near.cutLanes(to: diamond.right.id)
        #expect(second.read().end == .reset)
        #expect(diamond.isEmptied())
    }

    @Test("streams without a path are the first to give up their memory, the youngest first")
    func memory() throws {
        var memory = StreamEngine.Memory()
        (memory.limit, memory.pressure) = (1 << 20, 1 << 20)
        let diamond = try Diamond(hasRight: false, memory: memory)
        defer { diamond.stop() }
        // It reads nothing: what the clients write stays in their rings.
        let server = TestServer { client in
            client.write([1])
            sleep(60)
        }
        diamond.far.servers([server.port])
        let clients = try (0..<3).map { _ -> TestSocket in
            let client = try #require(TestSocket.connected(to: diamond.port))
            #expect(client.read(limit: 1).bytes == [1])
            return client
        }
        try diamond.near.cutLanes(to: diamond.left.id)
        #expect(eventually { (try? diamond.detachedCount) == 3 })
        let isHeld = try diamond.near.withEngine { engine in
            engine.mayHold(2 << 20, in: engine.pool)
        }
        #expect(!isHeld)
        for client in clients { #expect(client.read().end == .reset) }
    }

    @Test("a stream on a lane that is retired goes over to another one, without a loss")
    func retiredLane() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        try diamond.near.link(to: diamond.left)
        try exchange(32 << 20, on: diamond) {
            let first = try diamond.near.retireLane(to: diamond.left.id)
            #expect(eventually { (try? first()) == 0 })
            #expect(try diamond.left.streamCount > 0, "the route is the same")
        }
        #expect(diamond.isEmptied())
    }

    @Test("a stream follows when another route to its egress becomes the best, and only then")
    func betterRoute() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        func prefer(_ hop: TestProxy, _ other: TestProxy) throws {
            let far = diamond.far.id
            try diamond.near.targets([
                TestProxy.Way(
                    site: far.site,
                    cost: 2,
                    route: [hop.id, far],
                    detours: [[other.id, far]]
                )
            ])
            try diamond.near.withEngine { $0.waysChanged() }
        }
        try exchange(64 << 20, on: diamond) {
            try prefer(diamond.left, diamond.right)
            usleep(300_000)
            #expect(try diamond.right.streamCount == 0)
            for (hop, other) in [(diamond.right, diamond.left), (diamond.left, diamond.right)] {
                try prefer(hop, other)
                #expect(eventually { (try? hop.streamCount) == 1 && (try? other.streamCount) == 0 })
            }
        }
        #expect(diamond.isEmptied())
    }

    @Test("streams of a loop without a lane leave the retired lane of another loop as well")
    func retiredBehindBridge() throws {
        let diamond = try Diamond(loops: 2, hasRight: false)
        defer { diamond.stop() }
        let server = TestServer.named("far")
        diamond.far.servers([server.port])
        let clients = try (0..<16).map { _ -> TestSocket in
            let client = try #require(TestSocket.connected(to: diamond.port))
            #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
            return client
        }
        #expect(try diamond.near.withEngine(loop: 1) { $0.streamCount } > 0)
        try diamond.near.link(to: diamond.left)
        let first = try diamond.near.retireLane(to: diamond.left.id)
        #expect(eventually { (try? first()) == 0 })
        for client in clients {
            client.write(Array("ping".utf8))
            #expect(client.read(limit: 4).bytes == Array("ping".utf8))
            client.close()
        }
        #expect(diamond.isEmptied())
    }

    @Test("a better route may begin with the same hop")
    func sameFirstHop() throws {
        let diamond = try Diamond()
        defer { diamond.stop() }
        try diamond.left.link(to: diamond.right)
        try exchange(32 << 20, on: diamond) {
            let (left, right, far) = (diamond.left.id, diamond.right.id, diamond.far.id)
            try diamond.near.targets([
                TestProxy.Way(
                    site: far.site,
                    cost: 2,
                    route: [left, right, far],
                    detours: [[left, far]]
                )
            ])
            try diamond.near.withEngine { $0.waysChanged() }
            #expect(eventually { (try? diamond.right.streamCount) == 1 })
        }
        #expect(diamond.isEmptied())
    }

    @Test("a sidecar's stream goes on through the other gateway of its site, which vouches for it")
    func sibling() throws {
        let site = try FixtureSite("home")
        let sidecar = try TestProxy(site, instance: 7, isSidecar: true, grace: .seconds(10))
        let gateways = try [1, 2].map { try TestProxy(site, instance: $0, grace: .seconds(10)) }
        let far = try TestProxy(FixtureSite("far"), grace: .seconds(10))
        let all = [sidecar, far] + gateways
        defer { for proxy in all { proxy.stop() } }
        for gateway in gateways {
            try sidecar.link(to: gateway)
            try gateway.link(to: far)
            try gateway.knows([far])
        }
        try far.knows(gateways)
        try sidecar.targets([
            TestProxy.Way(
                site: far.site.id,
                cost: 1,
                route: [gateways[0].id, far.id],
                detours: [[gateways[1].id, far.id]]
            )
        ])
        let server = TestServer.named("far_")
        far.servers([server.port])
        let client = try #require(TestSocket.connected(to: sidecar.listen()))
        #expect(client.read(limit: 5).bytes == Array("far_\n".utf8))
        try sidecar.cutLanes(to: gateways[0].id)
        client.write(Array("ping".utf8))
        #expect(client.read(limit: 4).bytes == Array("ping".utf8))
        #expect(try gateways[1].streamCount == 1)
        #expect(server.acceptedCount == 1)
        client.close()
        #expect(eventually { all.allSatisfy { (try? $0.isEmpty) == true } })
    }
}
