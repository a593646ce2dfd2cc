import Glibc
import NetworkModel
import Testing

@testable import Proxy

/// What one relay may take of a loop's turn, and by which way its bytes go.
@Suite("Relay fairness", .timeLimit(.minutes(1)), .serialized)
struct RelayFairnessTests {
    /// Downloads without end, and a handler that is ready in each turn: it sees how much they moved since the last.
    private final class Downloads: EventHandler {
        private(set) var relays: [PlainRelay] = []
        private(set) var mostPerTurn: UInt64 = 0
        private(set) var turns = 0
        private var last: UInt64 = 0
        private var ends: (Int32, Int32) = (-1, -1)

        func begin(_ sockets: [(near: Int32, far: Int32)], on loop: EventLoop) {
            for (near, far) in sockets { relays.append(relay(near, far, on: loop)) }
            unsafe withUnsafeMutableBytes(of: &ends) { bytes in
                _ = unsafe bytes.withMemoryRebound(to: Int32.self) { unsafe pipe($0.baseAddress) }
            }
            _ = try? loop.register(self, descriptor: ends.0)
            askAgain()
        }

        private func relay(_ near: Int32, _ far: Int32, on loop: EventLoop) -> PlainRelay {
            for number in [near, far] {
                _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
            }
            return PlainRelay(
                client: FileDescriptor(owning: near),
                server: FileDescriptor(owning: far),
                timeouts: ServiceTimeouts(connect: .seconds(3), idle: .zero, halfClosed: .zero),
                on: loop
            ) { _, _ in }
        }

        private func askAgain() { _ = unsafe Glibc.write(ends.1, [0], 1) }

        func handle(_ events: ReadyEvents, on loop: EventLoop) {
            var byte: UInt8 = 0
            guard unsafe Glibc.read(ends.0, &byte, 1) == 1 else { return }
            let bytes = relays.reduce(0) { $0 + $1.bytesToClient }
            turns += 1
            mostPerTurn = max(mostPerTurn, bytes - last)
            last = bytes
            askAgain()
        }

        func loopEnded() {
            for number in [ends.0, ends.1] where number >= 0 { _ = Glibc.close(number) }
        }
    }

    @Test("between two turns of a small connection a download moves a budget each")
    func budget() throws {
        let loop = try EventLoopThread(index: 0)
        let count = 4
        let clients = (0..<count).map { _ in BlockingSocket.pair() }
        let servers = (0..<count).map { _ in BlockingSocket.pair() }
        let sockets = zip(clients, servers).map { ($0.far, $1.far) }
        let isOver = Shared(false)
        let block = [UInt8](repeating: 7, count: 1 << 20)
        let threads =
            servers.map { server in
                Thread { while !isOver.value, server.near.write(block) {} }
            }
            + clients.map { client in
                Thread { _ = client.near.readAll() }
            }
        _ = loop.run { loop -> Bool in
            let downloads = Downloads()
            loop.setLocal(downloads)
            downloads.begin(sockets, on: loop)
            return true
        }
        let seen = { @Sendable (loop: EventLoop) -> (turns: Int, most: UInt64, pipes: Int) in
            guard let downloads = loop.local(Downloads.self) else { return (0, 0, 0) }
            return (downloads.turns, downloads.mostPerTurn, loop.buffers.pipes.count)
        }
        #expect(eventually { (loop.run(seen)?.turns ?? 0) > 500 })
        let (_, most, pipes) = try #require(loop.run(seen))
        #expect(most > 0)
        // One may move behind the small one in its turn and before it in the next.
        #expect(most <= UInt64(2 * count * PlainRelay.budget))
        // They share what they need only for a moment.
        #expect((1...count).contains(pipes))
        isOver.update { $0 = true }
        loop.stop()
        threads.forEach { $0.join() }
    }

    @Test("a reader that is behind keeps little, and gets every byte, by pipe or copied")
    func slowReader() throws {
        try withLoops { loop, _ in
            let (client, near) = BlockingSocket.pair()
            let (server, far) = BlockingSocket.pair()
            let block = (0..<3_000_017).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let end = Shared<PlainRelay.End?>(nil)
            _ = loop.run { loop -> Bool in
                for number in [near, far] {
                    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
                }
                _ = PlainRelay(
                    client: FileDescriptor(owning: near),
                    server: FileDescriptor(owning: far),
                    timeouts: ServiceTimeouts(connect: .seconds(3), idle: .zero, halfClosed: .zero),
                    on: loop
                ) { _, why in end.update { $0 = why } }
                return true
            }
            let writer = Thread {
                for _ in 0..<20 { server.write(block) }
                server.end()
            }
            var bytes = client.readAll(limit: 10 << 20).bytes
            // Until nothing moves any more: the reader has stopped.
            var kept = -1
            #expect(
                eventually {
                    let before = kept
                    kept = loop.run { $0.buffers.keptCount } ?? -1
                    usleep(20_000)
                    return kept > 0 && kept == before
                }
            )
            #expect(kept <= PlainRelay.budget)
            let rest = client.readAll()
            bytes += rest.bytes
            #expect(rest.end == .endOfFile)
            #expect(bytes.count == 20 * block.count)
            #expect(checksum(bytes) == checksum((0..<20).flatMap { _ in block }))
            client.end()
            writer.join()
            #expect(eventually { end.value == .finished })
            #expect(loop.run { $0.buffers.keptCount } == 0)
        }
    }

    @Test("a pipe with bytes in it is given up, an empty one is kept for the next")
    func usedPipe() throws {
        let pipes = RelayPipes()
        let now = EventLoop.clock()
        let (near, far) = BlockingSocket.pair()
        let socket = FileDescriptor(owning: far)
        _ = fcntl(far, F_SETFL, fcntl(far, F_GETFL) | O_NONBLOCK)
        near.write([1, 2, 3])
        let first = try #require(pipes.take(at: now))
        var result = IOResult.wouldBlock
        #expect(
            eventually {
                result = socket.splice(into: first, atMost: 100)
                return result != .wouldBlock
            }
        )
        #expect(result == .bytes(3) && first.count == 3)
        pipes.give(first)
        #expect(pipes.count == 0)
        let second = try #require(pipes.take(at: now))
        pipes.give(second)
        #expect(pipes.count == 1 && pipes.take(at: now) === second)
    }

    @Test("a loop has so many pipes and no more")
    func pipeLimit() {
        let pipes = RelayPipes()
        let now = EventLoop.clock()
        var taken: [RelayPipe] = []
        while let pipe = pipes.take(at: now) { taken.append(pipe) }
        #expect((1...RelayPipes.limit).contains(taken.count))
        for pipe in taken { pipes.give(pipe) }
        #expect(pipes.count <= 4)
    }
}
