import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

@Suite("Windows of a stream")
struct StreamFlowTests {
    private static let far = Duration.milliseconds(80)

    /// Bytes come as fast as one window for each `far`, over a first hop of 0.1 ms; gives the window after ten seconds.
    private func window(
        of flow: inout StreamFlow,
        from start: Instant,
        pause: Duration = far
    ) throws -> Int {
        var now = start + pause
        while now < start + .seconds(10) {
            let count = flow.receiver.window / 8
            _ = try flow.receive(dataAt: flow.receiver.next, count: count, at: now)
            flow.didWrite(count)
            _ = flow.takeAcknowledgment(at: now, roundTrip: .microseconds(100), mayGrow: true)
            now = now + Self.far / 8
        }
        return flow.receiver.window
    }

    private func flow(_ pool: BufferPool, at now: Instant) -> StreamFlow {
        StreamFlow(pool, window: StreamReceiver.standardWindow, hasSocket: true, at: now)
    }

    @Test("at an ingress it grows with the round trip over all hops, and with that of a new path")
    func ingress() throws {
        let (pool, now) = (BufferPool(), Instant(nanoseconds: 1_000_000_000))
        var far = flow(pool, at: now)
        far.open(window: 65_536, askedAt: now, at: now + Self.far)
        #expect(try window(of: &far, from: now) == StreamReceiver.maximumWindow)

        var near = flow(pool, at: now)
        near.open(window: 65_536, askedAt: now, at: now + .microseconds(200))
        #expect(try window(of: &near, from: now) == StreamReceiver.standardWindow)
        let egress = ProxyID(site: site(2), instance: 1)
        let standing = StreamStanding(next: 0, hasFin: false, window: 65_536)
        let answer = Resumed(egress: egress, standing: standing, start: near.receiver.next)
        try near.resume(answer, hadFin: false, after: Self.far)
        #expect(try window(of: &near, from: now + .seconds(20)) == StreamReceiver.maximumWindow)
    }

    @Test("at an egress it grows with the time to what comes first")
    func egress() throws {
        let (pool, now) = (BufferPool(), Instant(nanoseconds: 1_000_000_000))
        for (pause, size) in [
            (Self.far, StreamReceiver.maximumWindow),
            (.microseconds(200), StreamReceiver.standardWindow),
        ] {
            var flow = flow(pool, at: now)
            let openedAt = now + .seconds(1)
            flow.open(window: 65_536, at: openedAt)
            #expect(try window(of: &flow, from: openedAt, pause: pause) == size)
        }
    }
}
