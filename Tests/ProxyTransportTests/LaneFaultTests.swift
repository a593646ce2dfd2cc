import CertificateFixtures
import Glibc
import NetworkModel
import ProxyContract
import TLS
import Testing
import Wire

@testable import Proxy

@Suite("Lane faults", .timeLimit(.minutes(2)), .serialized)
struct LaneFaultTests {
    /// A pair over a path that can fail, with a lane that is up and has measured its round trip.
    private func withPath(
        misses: Int = 3,
        _ body: (LanePair, FaultyPath, EventLoopThread, EventLoopThread) throws -> Void
    ) throws {
        try withLoops { first, second in
            let path = Shared<FaultyPath?>(nil)
            var pair = try LanePair(first, second)
            pair.health = HealthParameters(heartbeat: .milliseconds(100), misses: misses)
            pair.detour = { port in
                let made = FaultyPath(to: port)
                path.update { $0 = made }
                return made.port
            }
            _ = pair.connect()
            #expect(eventually { pair.isEstablished })
            defer { path.value?.end() }
            #expect(eventually { [first, second].allSatisfy(hasSteadyRoundTrip) })
            try body(pair, #require(path.value), first, second)
        }
    }

    /// Whether the first samples of a busy machine have worn off: the limits below are multiples of this time.
    private func hasSteadyRoundTrip(_ thread: EventLoopThread) -> Bool {
        thread.run { loop -> Bool in
            guard let lane = loop.local(LaneEnd.self)?.lane, lane.roundTrip != nil else {
                return false
            }
            return lane.liveness.retransmissionTimeout <= .milliseconds(230)
        } == true
    }

    @Test("a path that goes silent is noticed by both ends within a second")
    func silence() throws {
        try withPath { pair, path, _, _ in
            let start = EventLoop.clock()
            path.stop(.forth, .back)
            #expect(eventually { pair.isClosed })
            for log in [pair.dialer, pair.acceptor] {
                guard case .silent(let time)? = log.value.reasons.first else {
                    Issue.record("\(log.value.reasons)")
                    continue
                }
                // 3 retransmission time-outs of 200 ms outweigh 3 heartbeats of 100 ms.
                #expect(time >= .milliseconds(600))
                let noticed = try #require(log.value.closedAt) - start
                #expect(noticed < .milliseconds(1500), "noticed after \(noticed)")
            }
        }
    }

    @Test("a neighbor whose loop hangs is noticed, though its kernel acknowledges everything")
    func hung() throws {
        try withPath { pair, _, _, second in
            let start = EventLoop.clock()
            second.mailbox.post { _ in sleep(3) }
            #expect(eventually { !pair.dialer.value.reasons.isEmpty })
            guard case .silent? = pair.dialer.value.reasons.first else {
                return #expect(Bool(false))
            }
            let noticed = try #require(pair.dialer.value.closedAt) - start
            #expect(noticed < .milliseconds(1500), "noticed after \(noticed)")
            // The hung end wakes up to a lane that was ended: it reads that before it judges.
            #expect(eventually { pair.isClosed })
            #expect(pair.acceptor.value.reasons == [.ended])
        }
    }

    @Test(
        "a neighbor whose loop is flooded is not taken for dead: heartbeats leave in the midst of a turn"
    )
    func flooded() throws {
        try withPath { pair, _, _, second in
            // The first one is a turn; while it lasts, the others gather to one turn of 2 s.
            for _ in 0..<40 { second.mailbox.post { _ in usleep(50_000) } }
            usleep(2_500_000)
            #expect(pair.dialer.value.reasons == [])
            #expect(pair.acceptor.value.reasons == [])
        }
    }

    @Test("a neighbor that sends but does not read is noticed by the echoes that stay away")
    func deaf() throws {
        try withPath { pair, path, _, _ in
            let start = EventLoop.clock()
            path.stop(.forth)
            // The acceptor hears nothing: it judges first, and its end reaches the dialer.
            #expect(eventually { pair.isClosed })
            guard case .silent? = pair.acceptor.value.reasons.first else {
                return #expect(Bool(false))
            }
            let noticed = try #require(pair.dialer.value.closedAt) - start
            #expect(noticed < .seconds(5))
        }
    }

    @Test("a short hiccup below the limit ends nothing")
    func hiccup() throws {
        // The limit is a second: half of it is left to a busy machine.
        try withPath(misses: 10) { pair, _, _, second in
            for _ in 0..<3 {
                second.mailbox.post { _ in usleep(400_000) }
                usleep(600_000)
            }
            #expect(pair.dialer.value.reasons == [])
            #expect(pair.acceptor.value.reasons == [])
        }
    }

    @Test("control frames beyond the bound end the lane instead of filling memory")
    func overflow() throws {
        try withPath { pair, path, first, _ in
            path.stop(.forth)
            first.withEnd { _, lane in
                let payload = [UInt8](repeating: 7, count: 60_000)
                for _ in 0..<100 { lane.send(200, payload) }
                #expect(lane.queuedControlCount <= Lane.controlCountMax)
            }
            #expect(eventually { pair.isClosed })
            #expect(pair.dialer.value.reasons == [.overflow])
        }
    }

    @Test("a control frame that is too long ends its lane, and neither process")
    func oversized() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            _ = pair.connect()
            #expect(eventually { pair.isEstablished })
            second.withEnd { _, lane in
                lane.send(200, [UInt8](repeating: 0, count: FrameHeader.maximumPayload + 1))
            }
            #expect(eventually { pair.isClosed })
            #expect(pair.acceptor.value.reasons.count == 1)
            guard case .closedByNeighbor(let closing)? = pair.dialer.value.reasons.first else {
                Issue.record("\(pair.dialer.value.reasons)")
                return
            }
            #expect(closing.explanation.contains("66561 bytes"))
        }
    }

    @Test("a dialer that says nothing is dropped after five seconds")
    func handshakeTimeout() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            let port = pair.connect()
            #expect(eventually { pair.isEstablished })
            let silent = try #require(BlockingSocket.connected(to: port))
            let start = EventLoop.clock()
            #expect(eventually { pair.acceptor.value.reasons == [.handshakeTimeout] })
            let waited = EventLoop.clock() - start
            #expect((.seconds(4)...(.seconds(7))).contains(waited))
            #expect(silent.readAll().end == .endOfFile)
        }
    }

    @Test("bytes that are no TLS, or no frames, end the lane and disturb no other")
    func garbage() throws {
        try withLoops { first, second in
            let pair = try LanePair(first, second)
            let port = pair.connect()
            #expect(eventually { pair.isEstablished })
            let stranger = try #require(BlockingSocket.connected(to: port))
            stranger.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            #expect(eventually { !pair.acceptor.value.reasons.isEmpty })
            guard case .handshake? = pair.acceptor.value.reasons.first else {
                return #expect(Bool(false))
            }
            #expect(pair.dialer.value.reasons == [])
            first.withEnd { _, lane in
                // A header that announces more than a frame may have, past the queues.
                let header: [UInt8] = [0xFF, 0xFF, 0xFF, 200, 0, 0, 0, 0]
                unsafe header.withUnsafeBytes { header in
                    try? unsafe lane.session?.encrypt(header, output: lane.loop.buffers.ciphertext)
                }
                lane.sendRecords()
            }
            #expect(eventually { !pair.dialer.value.reasons.isEmpty })
            guard case .closedByNeighbor(let closing)? = pair.dialer.value.reasons.first else {
                Issue.record("\(pair.dialer.value.reasons)")
                return
            }
            #expect(closing.reason == .protocolError)
        }
    }
}

@Suite("Lane liveness")
struct LaneLivenessTests {
    private let health = HealthParameters(heartbeat: .milliseconds(250), misses: 3)

    private func instant(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    @Test(
        "a silent neighbor is judged at three heartbeats, and later when the loop itself was late"
    )
    func silence() {
        let liveness = LaneLiveness(at: instant(0))
        #expect(liveness.deadline(health) == instant(750))
        #expect(liveness.judge(at: instant(749), lateness: .zero, health) == nil)
        #expect(
            liveness.judge(at: instant(750), lateness: .zero, health)
                == .silent(.milliseconds(750))
        )
        #expect(liveness.judge(at: instant(1200), lateness: .milliseconds(500), health) == nil)
    }

    @Test("the round trip leaves out what the neighbor held, and slow lanes get more time")
    func roundTrip() {
        var near = LaneLiveness(at: instant(0))
        var far = LaneLiveness(at: instant(0))
        var now: UInt64 = 0
        // 400 ms each way, held for 100 ms.
        for _ in 0..<20 {
            let question = near.heartbeat(at: instant(now))
            far.received(question, at: instant(now + 400))
            let answer = far.heartbeat(at: instant(now + 500))
            near.received(answer, at: instant(now + 900))
            near.lastReceived = instant(now + 900)
            now += 1000
        }
        #expect(near.roundTrip == .milliseconds(800))
        #expect(near.silenceMax(health) >= .milliseconds(2400))
        #expect(near.silenceMax(health) <= .milliseconds(3000))
    }

    @Test("before the first answer the kernel's round trip says how long one may take")
    func farNeighbor() {
        var liveness = LaneLiveness(at: instant(0))
        // 800 ms, and half of it variation, as after one exchange.
        liveness.bound(least: .milliseconds(800), most: .milliseconds(2400))
        #expect(liveness.judge(at: instant(2400), lateness: .zero, health) == nil)
        #expect(liveness.silenceMax(health) == .milliseconds(7200))
        liveness.bound(least: .microseconds(100), most: .microseconds(300))
        #expect(liveness.silenceMax(health) == .milliseconds(750))
        liveness.bound(least: .seconds(60), most: .seconds(180))
        #expect(liveness.silenceMax(health) == .seconds(9))
    }

    @Test("absurd echoes are no samples and no answers")
    func absurd() {
        var liveness = LaneLiveness(at: instant(0))
        let future = Heartbeat(sent: 1, echo: .max, held: 0)
        liveness.received(future, at: instant(10))
        let tooLong = Heartbeat(sent: 2, echo: instant(5).nanoseconds, held: .max)
        liveness.received(tooLong, at: instant(20))
        #expect(liveness.roundTrip == nil)
        #expect(liveness.silenceMax(health) == .milliseconds(750))
        // However slow a lane claims to be, its end comes.
        var slow = LaneLiveness(at: instant(0))
        slow.received(
            Heartbeat(sent: 1, echo: 1, held: 0),
            at: Instant(nanoseconds: 3_600_000_000_000)
        )
        #expect(slow.silenceMax(health) == .seconds(9))
    }

    @Test("a neighbor that sends and never answers is judged too")
    func unanswered() {
        var liveness = LaneLiveness(at: instant(0))
        for time in stride(from: UInt64(100), through: 2900, by: 100) {
            liveness.lastReceived = instant(time)
            #expect(liveness.judge(at: instant(time), lateness: .zero, health) == nil)
        }
        liveness.lastReceived = instant(3000)
        #expect(
            liveness.judge(at: instant(3000), lateness: .zero, health)
                == .unanswered(.seconds(3))
        )
    }
}
