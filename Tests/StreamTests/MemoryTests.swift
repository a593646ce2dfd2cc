import CertificateFixtures
import Glibc
import NetworkModel
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
