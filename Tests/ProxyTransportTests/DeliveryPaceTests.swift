import NetworkModel
import ProxyContract
import Testing
import Wire

@testable import Proxy

@Suite("D1: the pace of a lane")
struct DeliveryPaceTests {
    /// A path in virtual time: bytes leave one after the other at a rate, and are acknowledged a round trip later.
    private struct Path {
        let bytesPerSecond: Int
        let roundTrip: Duration
        var pace: DeliveryPace
        var now = Instant(nanoseconds: 1_000_000_000)
        /// When all that was written will have left.
        private var freeAt: Instant
        private var underWay: [(count: Int, at: Instant)] = []
        private(set) var acknowledged = 0
        private var written = 0
        /// The longest that anything waited before it left.
        var longestWait = Duration.zero

        init(bytesPerSecond: Int, roundTrip: Duration) {
            self.bytesPerSecond = bytesPerSecond
            self.roundTrip = roundTrip
            pace = DeliveryPace(at: now)
            freeAt = now
        }

        mutating func write(_ count: Int) {
            guard count > 0 else { return }
            let time = Duration.nanoseconds(
                Int64(Double(count) * 1e9 / Double(bytesPerSecond))
            )
            longestWait = max(longestWait, max(freeAt, now) - now)
            freeAt = max(freeAt, now) + time
            underWay.append((count, freeAt + roundTrip))
            written += count
            pace.wrote(count, at: now)
        }

        mutating func pass(_ time: Duration) {
            now = now + time
            while let first = underWay.first, first.at <= now {
                acknowledged += first.count
                underWay.removeFirst()
            }
            let sample = DeliveryPace.Sample(
                unacknowledged: written - acknowledged,
                leastRoundTrip: roundTrip
            )
            pace.look(sample, at: now)
        }

        /// Sends all that the pace allows, in pieces of 4 KiB, for so long.
        mutating func fill(for time: Duration) {
            let end = now + time
            while now < end {
                while pace.room >= 4_096, written - acknowledged < 4 << 20 { write(4_096) }
                if pace.room < 4_096 { pace.heldBack() }
                pass(.milliseconds(2))
            }
        }
    }

    @Test(
        "what waits in front of a heartbeat is bounded by time, and the path stays full",
        arguments: [50_000, 87_500, 250_000, 1_250_000],
        [Duration.milliseconds(1), .milliseconds(40), .milliseconds(200)]
    )
    func bounded(rate: Int, roundTrip: Duration) {
        var path = Path(bytesPerSecond: rate, roundTrip: roundTrip)
        // The rate is not known yet.
        path.fill(for: .seconds(3))
        let before = path.acknowledged
        path.longestWait = .zero
        path.fill(for: .seconds(10))
        #expect(path.longestWait <= .milliseconds(500) + roundTrip * 2)
        let delivered = Double(path.acknowledged - before) / 10
        #expect(delivered > 0.9 * Double(rate), "\(delivered) of \(rate) bytes a second")
    }

    @Test("a fast path is held back for its first bytes only")
    func fast() {
        var path = Path(bytesPerSecond: 1_000_000_000, roundTrip: .microseconds(100))
        path.fill(for: .milliseconds(50))
        #expect(!path.pace.isSlow)
        #expect(path.pace.room == .max)
    }

    @Test(
        "little traffic before a transfer does not slow it down: the limit itself is no slowness",
        arguments: [Duration.microseconds(50), .milliseconds(1), .milliseconds(80)]
    )
    func startAfterLittle(roundTrip: Duration) {
        var path = Path(bytesPerSecond: 1_000_000_000, roundTrip: roundTrip)
        for _ in 0..<500 {
            path.write(100)
            path.pass(.milliseconds(20))
        }
        let before = path.acknowledged
        path.fill(for: .milliseconds(500) + roundTrip * 12)
        #expect(!path.pace.isSlow, "\(path.pace.rate ?? 0) bytes a second")
        #expect(path.acknowledged - before > 4 << 20)
    }

    @Test("a path that becomes slow is noticed, and so is one that becomes fast again")
    func change() {
        var path = Path(bytesPerSecond: 1_000_000_000, roundTrip: .milliseconds(1))
        path.fill(for: .milliseconds(100))
        var slow = Path(bytesPerSecond: 50_000, roundTrip: .milliseconds(1))
        slow.pace = path.pace
        #expect(!slow.pace.isSlow)
        var pace = DeliveryPace(at: Instant(nanoseconds: 1))
        var now = Instant(nanoseconds: 1)
        // 100 MB/s, then 50 kB/s, then 100 MB/s, always with something under way.
        for (rate, expected) in [(100_000_000, false), (50_000, true), (100_000_000, false)] {
            for _ in 0..<600 {
                now = now + .milliseconds(2)
                pace.wrote(rate / 500, at: now)
                let sample = DeliveryPace.Sample(unacknowledged: 1_000, leastRoundTrip: nil)
                pace.look(sample, at: now)
            }
            #expect(pace.isSlow == expected, "\(rate) bytes a second: \(pace.rate ?? 0)")
        }
    }

    @Test("little traffic says nothing of a path")
    func idle() {
        var path = Path(bytesPerSecond: 1_000_000_000, roundTrip: .milliseconds(1))
        path.fill(for: .milliseconds(100))
        for _ in 0..<1_000 {
            path.write(100)
            path.pass(.milliseconds(20))
        }
        #expect(!path.pace.isSlow)
    }
}

@Suite("D1: heartbeats behind our own bytes")
struct QueuedHeartbeatTests {
    private let health = HealthParameters(heartbeat: .milliseconds(250), misses: 3)

    private func instant(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    /// A heartbeat that ends at byte 256 Ki; `acknowledged` says what the neighbor's kernel has at a time.
    private func verdict(
        until end: UInt64,
        _ acknowledged: (UInt64) -> UInt64
    ) -> (at: UInt64, reason: LaneCloseReason)? {
        var liveness = LaneLiveness(at: instant(0))
        _ = liveness.heartbeat(at: instant(1))
        liveness.wrote(upTo: 256 * 1024)
        var advanced = (count: UInt64(0), at: instant(0))
        for time in stride(from: UInt64(50), through: end, by: 50) {
            // The neighbor goes on sending heartbeats of its own.
            liveness.lastReceived = instant(time)
            let count = acknowledged(time)
            if count > advanced.count { advanced = (count, instant(time)) }
            liveness.delivered(advanced.count, advancedAt: advanced.at, at: instant(time))
            if let reason = liveness.judge(at: instant(time), lateness: .zero, health) {
                return (time, reason)
            }
        }
        return nil
    }

    @Test("while bytes before it are taken, the neighbor lives; its time begins when it has left")
    func waits() throws {
        // 50 kB/s: it leaves after 5.2 s.
        #expect(verdict(until: 8_000) { $0 * 50 } == nil)
        let late = try #require(verdict(until: 20_000) { $0 * 50 })
        #expect((8_200...8_400).contains(late.at), "judged at \(late.at) ms")
        guard case .unanswered = late.reason else { return #expect(Bool(false)) }
    }

    @Test("a kernel that takes nothing more is no life")
    func stalls() throws {
        // A stopped process: its kernel fills up to 64 KiB and is silent then.
        let stalled = try #require(verdict(until: 20_000) { min($0 * 1_000, 65_536) })
        #expect((3_000...3_200).contains(stalled.at), "judged at \(stalled.at) ms")
    }

    @Test(
        "D11: the round trip is the kernel's word where the neighbor says another",
        arguments: [true, false]
    )
    func liar(saysNear: Bool) throws {
        var liveness = LaneLiveness(at: instant(0))
        var beat = liveness.heartbeat(at: instant(100))
        for time in stride(from: UInt64(400), to: 4_000, by: 300) {
            // Of the 300 ms until it answers, it says that it held the heartbeat for all or for none.
            let passed = instant(time).nanoseconds - beat.sent
            let echo = Heartbeat(sent: time, echo: beat.sent, held: saysNear ? passed : 0)
            liveness.received(echo, at: instant(time))
            beat = liveness.heartbeat(at: instant(time))
        }
        let word = try #require(liveness.roundTrip)
        #expect(saysNear ? word == .zero : word == .milliseconds(300))
        liveness.bound(least: .milliseconds(40), most: .milliseconds(50))
        let bounded = try #require(liveness.roundTrip)
        #expect(bounded >= .milliseconds(40) && bounded <= .milliseconds(55))
    }

    @Test("an answer ends the wait, and the next heartbeat has a time of its own")
    func answered() {
        var liveness = LaneLiveness(at: instant(0))
        let first = liveness.heartbeat(at: instant(1))
        liveness.wrote(upTo: 100)
        liveness.delivered(100, advancedAt: instant(5), at: instant(5))
        liveness.lastReceived = instant(2_900)
        liveness.received(
            Heartbeat(sent: 1, echo: first.sent, held: 2_898_000_000),
            at: instant(2_900)
        )
        liveness.lastReceived = instant(5_800)
        #expect(liveness.judge(at: instant(5_800), lateness: .zero, health) == nil)
        liveness.lastReceived = instant(6_000)
        #expect(liveness.judge(at: instant(6_000), lateness: .zero, health) != nil)
    }
}
