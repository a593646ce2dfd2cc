import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkModel
import NetworkTestSupport
import Synchronization
import Testing

@Suite("EventRecorder: what a server may answer", .timeLimit(.minutes(1)))
struct EventRecorderFaultTests {
    private func note(_ name: String) -> EventNote {
        var object = ObjectReference()
        object.namespace = "n"
        object.name = "o"
        return EventNote(
            regarding: object,
            reason: "R",
            action: "A",
            text: name,
            time: Timestamp(seconds: 1_800_000_000),
            name: name
        )
    }

    private static let failure = answer(
        "500 X",
        "{\"status\": \"Failure\", \"reason\": \"InternalError\"}"
    )
    private static let created = answer("201 Created", "{\"metadata\": {\"name\": \"o\"}}")

    private func recorder(for server: CannedServer) -> EventRecorder {
        EventRecorder(
            client: KubernetesClient(configuration: ClientConfiguration(server: server.url)),
            controller: "tieline.dev/controller",
            instance: "t",
            backoff: Backoff(base: .milliseconds(5), maximum: .milliseconds(10)),
            logger: silentLogger
        )
    }

    @Test("one that the server fails at lets the others pass, and is dropped in the end")
    func failing() async throws {
        let tried = Mutex<[String]>([])
        let server = try CannedServer { request, client in
            let name = request.contains("\"name\":\"bad\"") ? "bad" : "good"
            tried.withLock { $0.append(name) }
            _ = client.write(name == "bad" ? Self.failure : Self.created)
        }
        defer { server.stop() }
        let recorder = recorder(for: server)
        recorder.record(note("bad"))
        recorder.record(note("good"))
        let task = Task { await recorder.run() }
        #expect(await eventually { recorder.dropped == 1 })
        #expect(tried.withLock { $0 } == ["bad", "good", "bad", "bad", "bad", "bad"])
        task.cancel()
        await task.value
    }

    @Test(
        "one that is told is there at once; where the server fails at it, it waits and holds nobody up"
    )
    func telling() async throws {
        let isAway = Mutex(false)
        let taken = Mutex<[String]>([])
        let server = try CannedServer { request, client in
            let name = ["first", "second", "third"].first { request.contains("\"name\":\"\($0)\"") }
            let away = isAway.withLock { $0 }
            if !away, let name { taken.withLock { $0.append(name) } }
            _ = client.write(away ? Self.failure : Self.created)
        }
        defer { server.stop() }
        let recorder = recorder(for: server)
        // Nothing runs beside: what is there was sent by `tell`.
        await recorder.tell(note("first"))
        await recorder.tell(note("first"))
        #expect(taken.withLock { $0 } == ["first"])
        isAway.withLock { $0 = true }
        await recorder.tell(note("second"))
        isAway.withLock { $0 = false }
        await recorder.tell(note("third"))
        #expect(taken.withLock { $0 } == ["first"], "others wait, so it waits behind them")
        let task = Task { await recorder.run() }
        #expect(await eventually { taken.withLock { $0 } == ["first", "second", "third"] })
        task.cancel()
        await task.value
    }
}
