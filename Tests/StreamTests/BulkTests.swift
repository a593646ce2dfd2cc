import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import Streaming
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Proxy

/// Two proxies with a lane between them, and some for bulk.
private struct Pair {
    let near: TestProxy
    let far: TestProxy
    let port: UInt16

    init(bulkLanes: Int, knowsResume: Bool = true, distance: Duration = .zero) throws {
        near = try TestProxy(FixtureSite("near"), grace: .seconds(10), bulkDistance: distance)
        far = try TestProxy(FixtureSite("far"), grace: .seconds(10))
        try near.link(to: far, knowsResume: knowsResume)
        for _ in 0..<bulkLanes { try near.link(to: far, isBulk: true) }
        try near.knows([far])
        try far.knows([near])
        try near.targets([TestProxy.Way(site: far.site.id, cost: 1, route: [far.id])])
        port = try near.listen()
    }

    func stop() {
        near.stop()
        far.stop()
    }

    func bulk() throws -> [UInt64] { try near.crossing(to: far.id).bulk }
    func ordinary() throws -> UInt64 { try near.crossing(to: far.id).ordinary }

    func lookForRest() throws {
        let far = far.id
        try near.withEngine { engine in
            for carrier in engine.carriers[far] ?? [] where carrier.isBulk { carrier.lookForRest() }
        }
    }

    func isEmptied() -> Bool {
        eventually { [near, far].allSatisfy { (try? $0.isEmpty) == true } }
    }
}

/// Which way the bytes go.
private enum Direction: UInt8, CaseIterable {
    case upload = 1
    case download = 2
}

@Suite("Lanes for bulk", .timeLimit(.minutes(2)), .serialized)
struct BulkTests {
    private static let size: UInt64 = 32 << 20

    private final class Count: Sendable {
        let value = Atomic(0)
    }

    @Test(
        "a lane is asked for where the neighbor is far, not where it is near",
        arguments: [true, false]
    )
    func distance(isFar: Bool) throws {
        let pair = try Pair(bulkLanes: 0, distance: isFar ? .zero : .seconds(1))
        defer { pair.stop() }
        let (asked, far) = (Count(), pair.far.id)
        try pair.near.withEngine { engine in
            for carrier in engine.carriers[far] ?? [] {
                carrier.dialBulkLane = { asked.value.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        try transfer(.upload, on: pair) { _ in }
        #expect((asked.value.load(ordering: .relaxed) > 0) == isFar)
    }

    /// Writes the pattern, half of it before `isDisturbed`.
    private static func write(_ socket: TestSocket, _ isDisturbed: Promise<Bool>) -> Bool {
        let half = size / 2
        guard socket.writePattern(half), isDisturbed.value == true else { return false }
        for start in stride(from: half, to: size, by: 1 << 16) {
            guard socket.write(Pattern.bytes(start..<start + 1 << 16)) else { return false }
        }
        socket.finishWriting()
        return true
    }

    private static func read(_ socket: TestSocket, _ received: Promise<Bool>) -> Bool {
        let read = socket.readPattern()
        let isWhole = read.isRight && read.count == size && read.end == .endOfFile
        received.fulfill(isWhole)
        return isWhole
    }

    /// Moves a pattern one way beside a connection that is open and small; calls `disturb` once half of it was written.
    private func transfer(
        _ direction: Direction,
        on pair: Pair,
        _ disturb: (Pair) throws -> Void
    ) throws {
        let isDisturbed = Promise<Bool>()
        let received = Promise<Bool>()
        let server = TestServer { socket in
            switch socket.read(limit: 1).bytes.first.flatMap(Direction.init) {
            case .upload: _ = Self.read(socket, received)
            case .download: _ = Self.write(socket, isDisturbed)
            case nil:
                socket.write([0])
                var bytes = socket.read(limit: 1).bytes
                while !bytes.isEmpty {
                    socket.write(bytes)
                    bytes = socket.read(limit: 1).bytes
                }
            }
        }
        pair.far.servers([server.port])
        let small = try #require(TestSocket.connected(to: pair.port))
        small.write([0])
        #expect(small.read(limit: 1).bytes == [0])
        let client = try #require(TestSocket.connected(to: pair.port))
        client.write([direction.rawValue])
        let work = TestThread {
            switch direction {
            case .upload: Self.write(client, isDisturbed)
            case .download: Self.read(client, received)
            }
        }
        try disturb(pair)
        isDisturbed.fulfill(true)
        #expect(received.value == true)
        #expect(work.value == true)
        client.close()
        small.write([8])
        #expect(small.read(limit: 1).bytes == [8])
        small.close()
        #expect(pair.near.shared.counters.interrupted == 0)
        #expect(server.acceptedCount == 2)
        #expect(pair.isEmptied())
    }

    @Test(
        "a bulk stream leaves the lane that it shares, and not a byte is lost",
        arguments: Direction.allCases
    )
    fileprivate func leaves(_ direction: Direction) throws {
        let pair = try Pair(bulkLanes: 1)
        defer { pair.stop() }
        try transfer(direction, on: pair) { pair in
            #expect(eventually { (try? pair.bulk()) == [1] })
            // The small one stays, and nothing of the bulk is before it.
            #expect(eventually { (try? pair.ordinary()) == 1 })
        }
    }

    @Test(
        "a lane for bulk that is cut: its stream goes on over the other one",
        arguments: Direction.allCases
    )
    fileprivate func cut(_ direction: Direction) throws {
        let pair = try Pair(bulkLanes: 1)
        defer { pair.stop() }
        try transfer(direction, on: pair) { pair in
            #expect(eventually { (try? pair.bulk()) == [1] })
            try pair.near.cutLanes(onlyBulk: true)
            #expect(eventually { (try? pair.ordinary()) == 2 })
        }
    }

    @Test("a stream that is bulk no more goes back", arguments: Direction.allCases)
    fileprivate func rests(_ direction: Direction) throws {
        let pair = try Pair(bulkLanes: 1)
        defer { pair.stop() }
        try transfer(direction, on: pair) { pair in
            #expect(eventually { (try? pair.bulk()) == [1] })
            let hasGone = eventually {
                // Each time is for what came since the one before.
                try? pair.lookForRest()
                usleep(50_000)
                return (try? pair.ordinary()) == 2
            }
            #expect(hasGone)
        }
    }

    @Test(
        "without a lane for bulk, or with a neighbor that resumes nothing, streams stay where they are"
    )
    func none() throws {
        for knowsResume in [true, false] {
            let pair = try Pair(bulkLanes: 0, knowsResume: knowsResume)
            defer { pair.stop() }
            try transfer(.upload, on: pair) { pair in
                let bulk = try pair.bulk()
                #expect(bulk.isEmpty)
                #expect(eventually { (try? pair.ordinary()) == 2 })
            }
        }
    }

    @Test("two bulk streams take a lane each, and one is asked for while none is empty")
    func spread() throws {
        let pair = try Pair(bulkLanes: 2)
        defer { pair.stop() }
        let far = pair.far.id
        let asks = Promise<Bool>()
        try pair.near.withEngine { engine in
            engine.carriers[far]?.first { !$0.isBulk }?.dialBulkLane = { asks.fulfill(true) }
        }
        let isDisturbed = Promise<Bool>()
        let server = TestServer { socket in
            // The first one says nothing, and shares the lane with the others.
            guard socket.read(limit: 1).bytes == [1] else { return }
            _ = Self.write(socket, isDisturbed)
        }
        pair.far.servers([server.port])
        let idle = try #require(TestSocket.connected(to: pair.port))
        #expect(eventually { (try? pair.ordinary()) == 1 })
        let clients = (0..<3).compactMap { _ in TestSocket.connected(to: pair.port) }
        for client in clients { client.write([1]) }
        let readers = clients.map { client in TestThread { client.readPattern() } }
        #expect(eventually { (try? pair.bulk().sorted()) == [1, 2] })
        #expect(asks.value == true)
        isDisturbed.fulfill(true)
        for reader in readers {
            let read = try #require(reader.value)
            #expect(read.isRight && read.count == Self.size && read.end == .endOfFile)
        }
        for client in clients + [idle] { client.close() }
        #expect(pair.isEmptied())
    }
}
