import Glibc
import NetworkModel
import Testing

@testable import Proxy

/// A relay between two plain sockets of the test.
private struct Relayed {
    let client: BlockingSocket
    let server: BlockingSocket
    let end = Shared<PlainRelay.End?>(nil)
    let bytes = Shared<(toServer: UInt64, toClient: UInt64)>((0, 0))
    let reclaimed = Shared<(descriptor: Int32, unsent: [UInt8])?>(nil)

    init(
        on loop: EventLoopThread,
        unsent: [UInt8] = [],
        idle: Duration = .zero,
        halfClosed: Duration = .zero,
        beforeRelay: (BlockingSocket, BlockingSocket) -> Void = { _, _ in }
    ) {
        let (client, near) = BlockingSocket.pair()
        let (server, far) = BlockingSocket.pair()
        client.limitReading()
        server.limitReading()
        beforeRelay(client, server)
        (self.client, self.server) = (client, server)
        let (end, bytes, reclaimed) = (end, bytes, reclaimed)
        _ = loop.run { loop -> Bool in
            for number in [near, far] {
                _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
            }
            let near = FileDescriptor(owning: near)
            let far = FileDescriptor(owning: far)
            try? near.setRelayOptions()
            try? far.setRelayOptions()
            let relay = PlainRelay(
                client: near,
                server: far,
                unsent: unsent,
                timeouts: ServiceTimeouts(
                    connect: .seconds(3),
                    idle: idle,
                    halfClosed: halfClosed
                ),
                on: loop
            ) { relay, why in
                bytes.update { $0 = (relay.bytesToServer, relay.bytesToClient) }
                if let client = relay.reclaimClient() {
                    let unsent = client.unsent
                    let number = client.socket.number
                    reclaimed.update { $0 = (number, unsent) }
                }
                end.update { $0 = why }
            }
            loop.setLocal(relay)
            return true
        }
    }

    func waitForEnd() -> PlainRelay.End? {
        _ = eventually { end.value != nil }
        return end.value
    }
}

@Suite("Plain relay", .timeLimit(.minutes(1)), .serialized)
struct PlainRelayTests {
    @Test("half-close passes in either order, with data behind it", arguments: [true, false])
    func halfClose(clientFirst: Bool) throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop, unsent: Array("the ".utf8))
            relay.client.write(Array("question".utf8))
            if clientFirst {
                relay.client.end()
                let (bytes, end) = relay.server.readAll()
                #expect(bytes == Array("the question".utf8) && end == .endOfFile)
                relay.server.write(Array("answer".utf8))
                relay.server.end()
                let (answer, last) = relay.client.readAll()
                #expect(answer == Array("answer".utf8) && last == .endOfFile)
            } else {
                relay.server.write(Array("answer".utf8))
                relay.server.end()
                let (answer, end) = relay.client.readAll()
                #expect(answer == Array("answer".utf8) && end == .endOfFile)
                relay.client.write(Array(" and more".utf8))
                relay.client.end()
                let (bytes, last) = relay.server.readAll()
                #expect(bytes == Array("the question and more".utf8) && last == .endOfFile)
            }
            #expect(relay.waitForEnd() == .finished)
            #expect(relay.bytes.value.toClient == 6)
        }
    }

    @Test(
        "a reset of one side is a reset for the other, never an orderly end",
        arguments: [true, false]
    )
    func reset(byClient: Bool) throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop)
            relay.client.write([1])
            #expect(relay.server.readAll(limit: 1).bytes == [1])
            relay.server.write([2])
            #expect(relay.client.readAll(limit: 1).bytes == [2])
            (byClient ? relay.client : relay.server).reset()
            #expect((byClient ? relay.server : relay.client).readAll().end == .reset)
            switch relay.waitForEnd() {
            case .client: #expect(byClient)
            case .server: #expect(!byClient)
            default: Issue.record("\(String(describing: relay.end.value))")
            }
            #expect(relay.reclaimed.value == nil)
        }
    }

    @Test("a reset after a half-close is still a reset", arguments: [true, false])
    func resetAfterEnd(byClient: Bool) throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop)
            let (breaker, other) =
                byClient ? (relay.client, relay.server) : (relay.server, relay.client)
            breaker.write([1])
            breaker.end()
            #expect(other.readAll().end == .endOfFile)
            breaker.reset()
            #expect(relay.waitForEnd() != .finished)
            // The other side's next bytes meet a RST.
            #expect(
                eventually(within: .seconds(2)) {
                    !other.write([1]) || other.readAll().end == .reset
                }
            )
        }
    }

    @Test("urgent bytes, at which reads stop short, hold nothing up", arguments: [true, false])
    func urgent(isEarly: Bool) throws {
        try withLoops { loop, _ in
            let speak = { (client: BlockingSocket) in
                client.write(Array("before".utf8))
                _ = unsafe send(client.number, [UInt8(ascii: "!")], 1, Int32(MSG_OOB))
                client.write(Array("after".utf8))
            }
            let relay = Relayed(on: loop) { client, _ in if isEarly { speak(client) } }
            if !isEarly { speak(relay.client) }
            let (bytes, end) = relay.server.readAll(limit: 11)
            #expect(String(decoding: bytes, as: UTF8.self) == "beforeafter" && end == nil)
            relay.client.reset()
        }
    }

    @Test("what was sent before a reset is delivered before it")
    func dataBeforeReset() throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop) { _, server in
                server.write(Array("last words".utf8))
            }
            #expect(relay.client.readAll(limit: 10).bytes == Array("last words".utf8))
            relay.server.reset()
            #expect(relay.client.readAll().end == .reset)
        }
    }

    @Test(
        "a server that resets before anything passed gives the client back, unread bytes included"
    )
    func reclaim() throws {
        try withLoops { loop, _ in
            for speaks in [false, true] {
                let relay = Relayed(on: loop) { client, server in
                    if speaks { client.write(Array("hello".utf8)) }
                    server.reset()
                }
                guard case .server = relay.waitForEnd() else { return #expect(Bool(false)) }
                let reclaimed = try #require(relay.reclaimed.value)
                #expect(reclaimed.unsent.isEmpty || reclaimed.unsent == Array("hello".utf8))
                #expect(relay.bytes.value == (0, 0))
            }
        }
    }

    @Test("an idle relay and a half-closed one end in time, with a reset")
    func timeouts() throws {
        try withLoops { loop, _ in
            let limit = Duration.milliseconds(600)
            let idle = Relayed(on: loop, idle: limit, halfClosed: .seconds(100))
            let start = EventLoop.clock()
            var last = start
            while EventLoop.clock() - start < limit * 3 / 2 {
                usleep(50_000)
                last = EventLoop.clock()
                idle.client.write([1])
            }
            #expect(idle.waitForEnd() == .idle)
            // If bytes did not count it would have ended before the last of them.
            #expect(EventLoop.clock() - last >= limit / 2)
            #expect(idle.client.readAll().end == .reset)

            let half = Relayed(on: loop, idle: .seconds(100), halfClosed: .milliseconds(150))
            half.server.end()
            #expect(half.waitForEnd() == .halfClosed)
            #expect(half.server.readAll().end == .reset)
        }
    }

    @Test("an aborted relay resets both sides")
    func abort() throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop)
            _ = loop.run { loop -> Bool in
                loop.local(PlainRelay.self)?.abort()
                return true
            }
            #expect(relay.waitForEnd() == .aborted)
            #expect(relay.client.readAll().end == .reset)
            #expect(relay.server.readAll().end == .reset)
        }
    }

    @Test("D11: a FIN in the turn after an abort does not cancel it", arguments: [true, false])
    func abortAndFin(isClient: Bool) throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop, halfClosed: .seconds(100))
            _ = loop.run { loop -> Bool in
                loop.local(PlainRelay.self)?.abort()
                // The FIN is there before the loop looks at its sockets again.
                (isClient ? relay.client : relay.server).end()
                return true
            }
            #expect(relay.waitForEnd() == .aborted)
            #expect((isClient ? relay.server : relay.client).readAll().end == .reset)
        }
    }

    @Test("an ended loop resets its clients")
    func loopEnds() throws {
        let loop = try EventLoopThread(index: 0)
        let relay = Relayed(on: loop)
        relay.client.write([1])
        #expect(relay.server.readAll(limit: 1).bytes == [1])
        loop.stop()
        #expect(relay.client.readAll().end == .reset)
        #expect(relay.server.readAll().end == .reset)
    }

    @Test("many megabytes arrive whole both ways at once, slow readers included")
    func bulk() throws {
        try withLoops { loop, _ in
            let relay = Relayed(on: loop)
            let block = (0..<1_000_003).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            let sums = Shared<[String: (Int, UInt64)]>([:])
            let sides = [("client", relay.client), ("server", relay.server)]
            let writers = sides.map { _, socket in
                Thread {
                    for _ in 0..<20 { socket.write(block) }
                    socket.end()
                }
            }
            let readers = sides.map { name, socket in
                Thread {
                    if name == "client" { usleep(300_000) }
                    let (bytes, end) = socket.readAll()
                    let sum = checksum(bytes)
                    if end == .endOfFile { sums.update { $0[name] = (bytes.count, sum) } }
                }
            }
            (writers + readers).forEach { $0.join() }
            let expected = checksum((0..<20).flatMap { _ in block })
            for (name, _) in sides {
                #expect(sums.value[name]?.0 == 20 * block.count)
                #expect(sums.value[name]?.1 == expected)
            }
            #expect(relay.waitForEnd() == .finished)
        }
    }

    @Test("relays leave no descriptor behind, however they end")
    func descriptors() throws {
        try withLoops { loop, _ in
            let before = FileDescriptor.openCount
            for index in 0..<200 {
                let relay = Relayed(on: loop)
                switch index % 3 {
                case 0: relay.client.reset()
                case 1: relay.server.reset()
                default:
                    relay.client.end()
                    relay.server.end()
                }
                #expect(relay.waitForEnd() != nil)
            }
            #expect(eventually { FileDescriptor.openCount == before })
        }
    }
}
