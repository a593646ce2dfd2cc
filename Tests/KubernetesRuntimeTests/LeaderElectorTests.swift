import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkModel
import NetworkTestSupport
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite(
    "LeaderElector",
    .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)"),
    .timeLimit(.minutes(2))
)
struct LeaderElectorTests {
    private func candidate(
        _ identity: String,
        _ scene: Scene,
        _ client: KubernetesClient,
        lease: Duration = .seconds(3),
        clock: any Clock<Duration> = ContinuousClock()
    ) -> LeaderElector {
        var settings = LeaderElectionSettings(lease: scene.key("lease"), identity: identity)
        settings.leaseDuration = lease
        settings.renewDeadline = .seconds(2)
        settings.retryPeriod = .milliseconds(200)
        return LeaderElector(
            client: client,
            settings: settings,
            logger: silentLogger,
            clock: clock
        )
    }

    /// Runs a candidate; `record` hears when it begins and ends to lead.
    private func start(
        _ name: String,
        _ elector: LeaderElector,
        _ record: Record
    ) -> Task<Void, any Error> {
        Task {
            try await elector.run {
                record.note("\(name) leads")
                defer { record.note("\(name) ends") }
                try await Task.sleep(for: .seconds(1000))
            }
        }
    }

    @Test("one of two leads; when it goes it hands over at once")
    func handover() async throws {
        try await Scene.with { scene in
            let record = Record()
            let clock = ManualClock()
            let (one, two) = (
                candidate("1", scene, scene.client, clock: clock),
                candidate("2", scene, scene.client, clock: clock)
            )
            let first = start("1", one, record)
            #expect(await eventually { record.all == ["1 leads"] })
            let second = start("2", two, record)
            // Longer than a lease that nobody renews.
            for _ in 0..<25 {
                #expect(await eventually { clock.waits.count == 2 })
                clock.advance(by: .milliseconds(200))
            }
            #expect(record.all == ["1 leads"])
            #expect(one.leadership.isValid && !two.leadership.isValid)
            first.cancel()
            try await first.value
            #expect(!one.leadership.isValid)
            // The next attempt, not the 3 s of an abandoned lease.
            #expect(await eventually { clock.waits.count == 1 })
            clock.advance(by: .milliseconds(240))
            #expect(await eventually { record.all == ["1 leads", "1 ends", "2 leads"] })
            second.cancel()
            try await second.value
        }
    }

    @Test("a leader that cannot renew ends before another begins")
    func isolation() async throws {
        try await Scene.with { scene in
            let record = Record()
            let lease = Duration.seconds(5)
            let (one, two) = (
                candidate("1", scene, scene.faulty, lease: lease),
                candidate("2", scene, scene.client, lease: lease)
            )
            let first = start("1", one, record)
            #expect(await eventually { record.all == ["1 leads"] })
            let second = start("2", two, record)
            scene.forwarder.freeze(true)
            #expect(await eventually { !one.leadership.isValid })
            #expect(!two.leadership.isValid)
            await #expect(throws: LeadershipLost.self) { try await first.value }
            #expect(await eventually { record.all == ["1 leads", "1 ends", "2 leads"] })
            scene.forwarder.freeze(false)
            second.cancel()
            try await second.value
        }
    }

    @Test("a leader whose lease was taken ends, and a fenced client writes no more")
    func robbed() async throws {
        try await Scene.with { scene in
            let record = Record()
            let one = candidate("1", scene, scene.client)
            let fenced = scene.client.fenced { one.leadership.writeLimit }
            await #expect(throws: APIError.self) { try await fenced.create(scene.map("a")) }
            let first = start("1", one, record)
            #expect(await eventually { record.all == ["1 leads"] })
            _ = try await fenced.create(scene.map("a"))
            _ = try await scene.client.patch(
                Coordination.Lease.self,
                scene.key("lease"),
                .merge(["spec": ["holderIdentity": "robber"]])
            )
            let lost = await #expect(throws: LeadershipLost.self) { try await first.value }
            #expect(lost?.description.contains("robber") == true)
            await #expect(throws: APIError.self) { try await fenced.create(scene.map("b")) }
        }
    }

    @Test("an error of what is led is thrown, and the lease given back")
    func failing() async throws {
        struct Broken: Error {}
        try await Scene.with { scene in
            let one = candidate("1", scene, scene.client)
            await #expect(throws: Broken.self) { try await one.run { throw Broken() } }
            let lease = try await scene.client.get(Coordination.Lease.self, scene.key("lease"))
            #expect(lease.spec.holderIdentity ?? "" == "")
        }
    }
}

@Suite(
    "EventRecorder",
    .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)"),
    .timeLimit(.minutes(1))
)
struct EventRecorderTests {
    private func recorder(_ client: KubernetesClient) -> EventRecorder {
        EventRecorder(
            client: client,
            controller: "tieline.dev/test",
            instance: "test-0",
            logger: silentLogger
        )
    }

    private func note(_ map: Core.ConfigMap, _ text: String, name: String? = nil) -> EventNote {
        EventNote(
            regarding: ObjectReference(to: map),
            kind: .warning,
            reason: "FailedOver",
            action: "Failover",
            text: text,
            time: .now(),
            name: name
        )
    }

    @Test("events arrive, each once, also when the server was away")
    func once() async throws {
        try await Scene.with { scene in
            let map = try await scene.client.create(scene.map("a"))
            let recorder = recorder(scene.faulty)
            let task = Task { await recorder.run() }
            recorder.record(note(map, "first"))
            recorder.record(note(map, "first"))
            scene.forwarder.stop()
            recorder.record(note(map, "second"))
            try scene.forwarder.resume()
            let scope = Scope(namespace: scene.namespace)
            #expect(
                try await eventually {
                    try await scene.client.listAll(Events.Event.self, in: scope).count == 2
                }
            )
            let events = try await scene.client.listAll(Events.Event.self, in: scope)
            #expect(Set(events.map(\.note)) == ["first", "second"])
            #expect(events.allSatisfy { $0.regarding?.uid == map.metadata.uid })
            #expect(events.allSatisfy { $0.type == "Warning" && $0.reason == "FailedOver" })
            task.cancel()
            await task.value
        }
    }

    @Test("a named event exists once, whoever tells it")
    func named() async throws {
        try await Scene.with { scene in
            let map = try await scene.client.create(scene.map("a"))
            for _ in 0..<2 {
                try await recorder(scene.client).write(note(map, "x", name: "failover-1"))
            }
            let events = try await scene.client.listAll(
                Events.Event.self,
                in: Scope(namespace: scene.namespace)
            )
            #expect(events.map(\.metadata.name) == ["failover-1"])
        }
    }

    @Test("a long text is cut between characters")
    func longText() async throws {
        try await Scene.with { scene in
            let map = try await scene.client.create(scene.map("a"))
            let text = "x" + String(repeating: "ä", count: 1000)
            try await recorder(scene.client).write(note(map, text, name: "long"))
            let event = try await scene.client.get(Events.Event.self, scene.key("long"))
            #expect(event.note == "x" + String(repeating: "ä", count: 510) + "…")
        }
    }
}

private final class Record: Sendable {
    private let state = Mutex<[String]>([])
    var all: [String] { state.withLock { $0 } }
    func note(_ text: String) { state.withLock { $0.append(text) } }
}
