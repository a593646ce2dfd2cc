import Foundation
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import Logging
import NetworkModel
import NetworkTestSupport
import Synchronization
import Testing

@testable import KubernetesRuntime

/// A namespace on the test API server, reached through a forwarder that can fail.
struct Scene {
    /// Straight to the server.
    let client: KubernetesClient
    /// Through the forwarder.
    let faulty: KubernetesClient
    let forwarder: FaultyForwarder
    let namespace: String

    init(_ configuration: ClientConfiguration, namespace: String) throws {
        let colon = try #require(configuration.server.lastIndex(of: ":"))
        let port = try #require(UInt16(configuration.server[colon...].dropFirst()))
        forwarder = try FaultyForwarder(to: port)
        var detour = configuration
        detour.server = "https://127.0.0.1:\(forwarder.port)"
        client = KubernetesClient(configuration: configuration)
        faulty = KubernetesClient(configuration: detour)
        self.namespace = namespace
    }

    /// Gives `body` a namespace of its own on the common test server.
    static func with(_ body: (Scene) async throws -> Void) async throws {
        let scene = try Scene(
            ClientConfiguration.load(kubeconfig: TestAPIServer.kubeconfig),
            namespace: TestAPIServer.uniqueName("runtime")
        )
        let key = ObjectKey(name: scene.namespace)
        _ = try await scene.client.create(
            Core.Namespace { $0.metadata = ObjectMeta(name: scene.namespace) }
        )
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(scene))
        } catch {
            result = .failure(error)
        }
        scene.forwarder.stop()
        try await scene.client.delete(Core.Namespace.self, key)
        try result.get()
    }

    func map(_ name: String, _ value: String = "1", labels: [String: String] = [:])
        -> Core.ConfigMap
    {
        Core.ConfigMap {
            $0.metadata = ObjectMeta(name: name, namespace: namespace, labels: labels)
            $0.data = ["k": value]
        }
    }

    func put(_ name: String, _ value: String = "1", labels: [String: String] = [:]) async throws {
        let map = map(name, value, labels: labels)
        _ = try await client.apply(map, fieldManager: "test", force: true)
    }

    func remove(_ name: String) async throws {
        try await client.delete(Core.ConfigMap.self, key(name))
    }

    func key(_ name: String) -> ObjectKey { ObjectKey(namespace: namespace, name: name) }
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Settings with waits short enough for tests.
private var hasty: ReflectorSettings {
    var settings = ReflectorSettings()
    settings.backoff = Backoff(base: .milliseconds(50), maximum: .milliseconds(400), jitter: 0.5)
    settings.absence = settings.backoff
    return settings
}

/// The data of all objects, as the store shows them.
private func values(_ informer: Informer<Core.ConfigMap>) -> [String: String] {
    Dictionary(informer.store.list().map { ($0.metadata.name, $0.data["k"] ?? "") }) { $1 }
}

@Suite(
    "Informer",
    .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)"),
    .timeLimit(.minutes(2))
)
struct InformerTests {
    private func withInformer(
        _ settings: ReflectorSettings = hasty,
        selector: String? = nil,
        before: (Scene) async throws -> Void = { _ in },
        health: @escaping @Sendable (ReflectorHealth) -> Void = { _ in },
        _ body: (Scene, Informer<Core.ConfigMap>) async throws -> Void
    ) async throws {
        try await Scene.with { scene in
            try await before(scene)
            let informer = Informer<Core.ConfigMap>(
                client: scene.faulty,
                scope: Scope(namespace: scene.namespace, labelSelector: selector),
                settings: settings,
                logger: silentLogger,
                health: health
            )
            let task = Task { await informer.run() }
            #expect(await informer.waitUntilSynced())
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(scene, informer))
            } catch {
                result = .failure(error)
            }
            task.cancel()
            await task.value
            try result.get()
        }
    }

    /// By a list of pages, or by a watch that sends the initial state.
    private static let starts = [true, false].map { usesWatchList in
        var settings = hasty
        settings.usesWatchList = usesWatchList
        settings.pageSize = 2
        return settings
    }

    @Test("the store shows what is there, then each change", arguments: [0, 1])
    func following(start: Int) async throws {
        let changes = Changes()
        try await withInformer(
            Self.starts[start],
            before: { scene in for name in ["a", "b", "c", "d", "e"] { try await scene.put(name) } }
        ) { scene, informer in
            informer.addHandler { changes.note($0) }
            #expect(changes.all == ["+a", "+b", "+c", "+d", "+e"])
            #expect(values(informer) == ["a": "1", "b": "1", "c": "1", "d": "1", "e": "1"])
            try await scene.put("a", "2")
            try await scene.remove("b")
            try await scene.put("f")
            #expect(await eventually { changes.all.count == 8 })
            #expect(changes.all.suffix(3) == ["a:1>2", "-b", "+f"])
            #expect(values(informer) == ["a": "2", "c": "1", "d": "1", "e": "1", "f": "1"])
            #expect(informer.statistics.lists == 1)
        }
    }

    @Test("one that has ended goes, though its handlers hold it")
    func ended() async throws {
        weak var ended: Informer<Core.ConfigMap>?
        try await withInformer { _, informer in
            ended = informer
            informer.addHandler { _ in _ = informer.hasSynced }
            informer.addUndecodableHandler { _ in _ = informer.hasSynced }
        }
        #expect(ended == nil)
    }

    @Test("only selected objects are there; one that stops matching is deleted")
    func selecting() async throws {
        try await withInformer(
            selector: "app=x",
            before: { scene in
                try await scene.put("a", labels: ["app": "x"])
                try await scene.put("b", labels: ["app": "y"])
            }
        ) { scene, informer in
            #expect(values(informer) == ["a": "1"])
            try await scene.put("b", "2", labels: ["app": "x"])
            #expect(await eventually { values(informer) == ["a": "1", "b": "2"] })
            try await scene.put("a", labels: ["app": "y"])
            #expect(await eventually { values(informer) == ["b": "2"] })
        }
    }

    @Test("a cut connection loses nothing and causes no list", arguments: [true, false])
    func cuts(withReset: Bool) async throws {
        try await withInformer { scene, informer in
            for round in 0..<5 {
                try await scene.put("a", "\(round)")
                #expect(await eventually { values(informer)["a"] == "\(round)" })
                scene.forwarder.cut(withReset: withReset)
                try await scene.put("b", "\(round)")
                #expect(await eventually { values(informer)["b"] == "\(round)" })
            }
            #expect(informer.statistics.lists == 1)
        }
    }

    @Test("a server that is away for a while is found again, without a list")
    func absence() async throws {
        let failures = Mutex(0)
        let health: @Sendable (ReflectorHealth) -> Void = { health in
            if health == .failed(.away) { failures.withLock { $0 += 1 } }
        }
        try await withInformer(health: health) { scene, informer in
            try await scene.put("a")
            #expect(await eventually { values(informer) == ["a": "1"] })
            scene.forwarder.stop()
            try await scene.put("b")
            try await scene.remove("a")
            #expect(await eventually { failures.withLock { $0 } >= 4 })
            #expect(values(informer) == ["a": "1"])
            try scene.forwarder.resume()
            #expect(await eventually { values(informer) == ["b": "1"] })
            #expect(informer.statistics.lists == 1)
        }
    }

    @Test("a version from the future, as after a restored backup, leads to a list")
    func future() async throws {
        try await Scene.with { scene in
            try await scene.put("a")
            let events = ReflectorLog()
            var session = ReflectorSession<Core.ConfigMap>(
                client: scene.client,
                scope: Scope(namespace: scene.namespace),
                settings: hasty,
                logger: silentLogger,
                sink: { events.note($0) }
            )
            session.position = "999999999"
            // As after any trouble with the connection.
            session.isDoubtful = true
            let running = session
            let task = Task {
                var session = running
                await session.run()
            }
            #expect(await eventually(within: .seconds(30)) { events.all == ["replaced a"] })
            task.cancel()
            await task.value
        }
    }

    @Test("a frozen server is noticed by the watch's own time")
    func frozen() async throws {
        var settings = hasty
        settings.watchSeconds = 1...1
        try await withInformer(settings) { scene, informer in
            try await scene.put("a")
            #expect(await eventually { values(informer) == ["a": "1"] })
            scene.forwarder.freeze(true)
            try await scene.put("b")
            let connections = scene.forwarder.accepted
            // The watch is given up after 1 s + 5 s, its connection with it.
            #expect(
                await eventually(within: .seconds(20)) { scene.forwarder.accepted > connections }
            )
            scene.forwarder.freeze(false)
            #expect(await eventually(within: .seconds(20)) { values(informer)["b"] == "1" })
        }
    }

    @Test("waiting for the first list ends with the task")
    func canceledWait() async throws {
        var configuration = try ClientConfiguration.load(kubeconfig: TestAPIServer.kubeconfig)
        configuration.server = "https://127.0.0.1:1"
        let informer = Informer<Core.ConfigMap>(
            client: KubernetesClient(configuration: configuration),
            logger: silentLogger
        )
        let waiting = Task { await informer.waitUntilSynced() }
        let running = Task { await informer.run() }
        waiting.cancel()
        #expect(await waiting.value == false)
        running.cancel()
        await running.value
    }
}

@Suite(
    "Informer and a server that restarts",
    .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)"),
    .timeLimit(.minutes(2))
)
struct RestartTests {
    @Test(
        "after a restart and a compaction one list tells what was missed",
        arguments: [true, false]
    )
    func compaction(usesWatchList: Bool) async throws {
        let server = try await OwnAPIServer()
        let configuration = try ClientConfiguration.load(kubeconfig: server.kubeconfig)
        let scene = try Scene(configuration, namespace: "default")
        defer { scene.forwarder.stop() }
        for name in ["a", "b"] { try await scene.put(name) }
        var settings = hasty
        settings.usesWatchList = usesWatchList
        let changes = Changes()
        let informer = Informer<Core.ConfigMap>(
            client: scene.faulty,
            scope: Scope(namespace: "default", fieldSelector: "metadata.name!=kube-root-ca.crt"),
            settings: settings,
            logger: silentLogger
        )
        informer.addHandler { changes.note($0) }
        let task = Task { await informer.run() }
        #expect(await eventually { changes.all == ["+a", "+b"] }, "\(changes.all)")
        // While the informer hears nothing: changes, their compaction, and a new watch cache.
        scene.forwarder.stop()
        try await scene.remove("a")
        for round in 2...20 { try await scene.put("b", "\(round)") }
        try await scene.put("c")
        try await server.compact()
        server.kill()
        try await server.start()
        try scene.forwarder.resume()
        #expect(
            await eventually(within: .seconds(30)) {
                changes.all == ["+a", "+b", "-a", "b:1>20", "+c"]
            },
            "\(changes.all)"
        )
        #expect(informer.statistics.lists == 2)
        task.cancel()
        await task.value
    }
}

/// What a handler was told, in short.
final class Changes: Sendable {
    private let state = Mutex<[String]>([])
    var all: [String] { state.withLock { $0 } }

    func note(_ change: Change<Core.ConfigMap>) {
        let text =
            switch change {
            case .added(let map): "+\(map.metadata.name)"
            case .updated(let old, let new):
                "\(new.metadata.name):\(old.data["k"] ?? "")>\(new.data["k"] ?? "")"
            case .deleted(let map): "-\(map.metadata.name)"
            }
        state.withLock { $0.append(text) }
    }
}

/// What a reflector told, in short, without bookmarks.
final class ReflectorLog: Sendable {
    private let state = Mutex<[String]>([])
    var all: [String] { state.withLock { $0 } }

    func note(_ event: ReflectorEvent<Core.ConfigMap>) {
        let text: String? =
            switch event {
            case .replaced(let maps, _, _):
                "replaced " + maps.map(\.metadata.name).joined(separator: ",")
            case .put(let map): "put \(map.metadata.name)"
            case .removed(let map): "removed \(map.metadata.name)"
            case .undecodable(let failure): "undecodable \(failure.key.name)"
            case .removedUndecodable(let key): "removed undecodable \(key.name)"
            case .progressed: nil
            }
        if let text { state.withLock { $0.append(text) } }
    }
}
