import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Streaming
import Synchronization
import Testing

@testable import Proxy

/// What clients and neighbors that take nothing can make a proxy keep.
@Suite("Memory", .timeLimit(.minutes(2)), .serialized)
struct MemoryTests {
    @Test("neighbors that acknowledge nothing fill no more than the limit, and nobody is reset")
    func limit() throws {
        let memory = StreamEngine.Memory(limit: 2 << 20, pressure: 1 << 20)
        let near = try TestProxy(FixtureSite("near"), memory: memory)
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let goes = Promise<Bool>()
        let server = TestServer { client in
            guard goes.value == true else { return }
            let read = client.readPattern()
            client.write(Array("\(read.isRight) \(read.count)".utf8))
        }
        far.servers([server.port])
        let port = try near.listen()
        let size: UInt64 = 8 << 20
        let clients = (0..<24).map { _ in
            TestThread { () -> String? in
                guard let client = TestSocket.connected(to: port) else { return nil }
                guard client.writePattern(size) else { return nil }
                client.finishWriting()
                return String(decoding: client.read().bytes, as: UTF8.self)
            }
        }
        #expect(eventually { (try? near.ringBytes > 1 << 20) == true })
        var most = 0
        for _ in 0..<100 {
            most = max(most, try near.ringBytes)
            usleep(5_000)
        }
        #expect(most <= memory.limit + 128 << 10)
        goes.fulfill(true)
        for client in clients { #expect(client.value == "true \(size)") }
        #expect(eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } })
    }

    /// A client's proxy and a server's, whose server says a byte and waits.
    private func pair() throws -> (near: TestProxy, far: TestProxy, server: TestServer) {
        let (near, far) = (try TestProxy(FixtureSite("near")), try TestProxy(FixtureSite("far")))
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer { client in
            client.write([1])
            _ = client.read()
        }
        far.servers([server.port])
        return (near, far, server)
    }

    @Test(
        "as memory runs short windows shrink, then new clients are refused, then the youngest are reset"
    )
    func steps() throws {
        let (near, far, server) = try pair()
        defer { for proxy in [near, far] { proxy.stop() } }
        let port = try near.listen()
        func use(_ percent: UInt64) { near.plane.memory.set(used: percent << 20) }
        near.plane.memory.set(limit: 100 << 20)
        use(10)
        let window = try near.withEngine { $0.initialWindow }
        let clients = (0..<40).compactMap { _ -> TestSocket? in
            let client = TestSocket.connected(to: port)
            return client?.read(limit: 1).bytes == [1] ? client : nil
        }
        #expect(clients.count == 40)
        use(60)
        #expect(try near.withEngine { $0.initialWindow } < window)
        #expect(try near.withEngine { $0.shrinksWindows && $0.takesStreams })
        #expect(try near.withEngine { !$0.mayGrow(1, in: $0.pool) })
        use(75)
        let refused = try #require(TestSocket.connected(to: port))
        #expect(refused.read().end == .reset)
        #expect(near.shared.counters.refused == 1)
        #expect(try near.streamCount == 40, "those that are open stay")
        try near.withEngine { $0.trim(resets: true) }
        #expect(clients[39].read().end == .reset && clients[38].read().end == .reset)
        #expect(try near.streamCount == 38)
        #expect(eventually { server.openCount == 38 })
        use(10)
        let served = try #require(TestSocket.connected(to: port))
        #expect(served.read(limit: 1).bytes == [1])
        clients[0].finishWriting()
        #expect(clients[0].read().end == .endOfFile, "the oldest were not touched")
    }

    @Test(
        "streams begin with smaller windows where all of the path is one short hop",
        arguments: [(Duration.seconds(1), false), (.seconds(1), true), (.zero, false)]
    )
    func nearWindows(distance: Duration, hasTransit: Bool) throws {
        let (near, middle, far) = (
            try TestProxy(FixtureSite("near"), bulkDistance: distance),
            try TestProxy(FixtureSite("middle")),
            try TestProxy(FixtureSite("far"), bulkDistance: distance)
        )
        defer { for proxy in [near, middle, far] { proxy.stop() } }
        let hops = hasTransit ? [near, middle, far] : [near, far]
        for (one, next) in zip(hops, hops.dropFirst()) { try one.link(to: next) }
        try near.knows([far])
        try far.knows([near])
        let route = hops.dropFirst().map(\.id)
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: route)])
        let server = TestServer.named("far")
        far.servers([server.port])
        let client = try #require(TestSocket.connected(to: try near.listen()))
        #expect(client.read(limit: 4).bytes == Array("far\n".utf8))
        let windows = try [near, far].map { proxy in
            try proxy.withEngine { engine in
                engine.owners.compactMap { ($0 as? any SocketStream)?.holdings.window }
            }
        }
        let isNear = distance > .zero && !hasTransit
        let window = isNear ? StreamReceiver.nearWindow : StreamReceiver.generousWindow
        #expect(windows == [[Int32(window)], [Int32(window)]])
    }

    @Test("windows of several streams stay small where all of the path is one short hop")
    func windowsStayNear() throws {
        let (near, far) = (
            try TestProxy(FixtureSite("near"), bulkDistance: .seconds(1)),
            try TestProxy(FixtureSite("far"), bulkDistance: .seconds(1))
        )
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer { client in
            _ = client.writePattern(32 << 20)
            _ = client.read()
        }
        far.servers([server.port])
        let port = try near.listen()
        let clients = try (0..<4).map { _ in try #require(TestSocket.connected(to: port)) }
        let reads = clients.map { client in
            TestThread { client.readPattern(limit: 32 << 20).isRight }
        }
        for read in reads { #expect(read.value == true) }
        let trip = try near.withEngine { $0.carriers[far.id]?.first?.conduit.leastRoundTrip }
        let most = StreamReceiver.nearWindow + 2 * Int(try #require(trip).wholeNanoseconds)
        let windows = try near.withEngine { engine in
            engine.owners.compactMap { ($0 as? any SocketStream)?.holdings.window }
        }
        #expect(windows.count == 4 && windows.allSatisfy { Int($0) <= most }, "\(windows)")
    }

    @Test("an egress without memory refuses, and its servers are not held against it")
    func egress() throws {
        let (near, far, server) = try pair()
        defer { for proxy in [near, far] { proxy.stop() } }
        far.plane.memory.set(limit: 100 << 20)
        far.plane.memory.set(used: 80 << 20)
        let client = try #require(TestSocket.connected(to: try near.listen()))
        #expect(client.read().end == .reset)
        #expect(server.acceptedCount == 0)
        #expect(near.shared.counters.failed == 1)
    }

    @Test("what comes beyond the limit is kept for a moment, and the youngest streams go for it")
    func youngest() throws {
        var memory = StreamEngine.Memory(limit: 8 << 20, pressure: 4 << 20)
        // No stream may hold so much by itself.
        memory.windows = 1 << 20
        let near = try TestProxy(FixtureSite("near"), memory: memory)
        let far = try TestProxy(FixtureSite("far"))
        defer { for proxy in [near, far] { proxy.stop() } }
        try near.link(to: far)
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        let server = TestServer { client in
            client.write([1])
            if client.writePattern(64 << 20) { client.finishWriting() }
        }
        far.servers([server.port])
        let port = try near.listen()
        // They take no more than a byte: what comes waits for them.
        let clients = (0..<64).compactMap { _ -> TestSocket? in
            let client = TestSocket.connected(to: port, buffering: 4_096)
            return client?.read(limit: 1).bytes == [1] ? client : nil
        }
        #expect(eventually { near.shared.counters.interrupted > 0 })
        let limit = memory.limit
        #expect(eventually { (try? near.ringBytes <= limit) == true })
        #expect(clients[0].readPattern().end == .endOfFile, "the oldest gets everything")
    }

    @Test("what a relay keeps for a client that has paused is counted until it is gone")
    func relay() throws {
        let near = try TestProxy(FixtureSite("near"))
        defer { near.stop() }
        let size: UInt64 = 64 << 20
        let server = TestServer { if $0.writePattern(size) { $0.finishWriting() } }
        near.servers([server.port])
        try near.targets([TestProxy.Way(site: near.site.id, cost: 0, route: [])])
        let client = try #require(TestSocket.connected(to: near.listen()))
        func kept() throws -> Int { try near.withEngine { $0.loop.buffers.keptCount } }
        #expect(eventually { (try? kept() > 0) == true })
        #expect(try kept() <= LoopBuffers.relayCount)
        let read = client.readPattern()
        #expect(read.isRight && read.count == size)
        client.close()
        #expect(eventually { (try? near.isEmpty) == true })
        #expect(try kept() == 0)
    }
}
