import Foundation
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import NetworkTestSupport
import Synchronization
import Testing

/// Calls against a real API server, in a namespace of their own.
@Suite(
    "KubernetesClient",
    .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)"),
    .timeLimit(.minutes(1))
)
struct ClientTests {
    private let warnings = Warnings()

    private func withNamespace(
        _ body: (KubernetesClient, String) async throws -> Void
    ) async throws {
        let configuration = try ClientConfiguration.load(kubeconfig: TestAPIServer.kubeconfig)
        let warnings = warnings
        let client = KubernetesClient(configuration: configuration) { warnings.add($0) }
        let name = TestAPIServer.uniqueName("client")
        _ = try await client.create(Core.Namespace { $0.metadata = ObjectMeta(name: name) })
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(client, name))
        } catch {
            result = .failure(error)
        }
        try await client.delete(Core.Namespace.self, ObjectKey(name: name))
        try result.get()
    }

    private func configMap(_ namespace: String, _ data: [String: String]) -> Core.ConfigMap {
        Core.ConfigMap {
            $0.metadata = ObjectMeta(name: "a", namespace: namespace)
            $0.data = data
        }
    }

    @Test("an object is created, read, listed, replaced, patched and deleted")
    func lifeCycle() async throws {
        try await withNamespace { client, namespace in
            let key = ObjectKey(namespace: namespace, name: "a")
            #expect(try await client.find(Core.ConfigMap.self, key) == nil)
            var map = try await client.create(configMap(namespace, ["k": "1"]))
            #expect(map.metadata.uid != nil)
            map.data["k"] = "2"
            let updated = try await client.update(map)
            #expect(updated.metadata.resourceVersion != map.metadata.resourceVersion)
            let stale = await #expect(throws: APIError.self) { try await client.update(map) }
            #expect(stale?.isConflict == true)
            let patched = try await client.patch(
                Core.ConfigMap.self,
                key,
                .merge(["data": ["k": nil, "l": "3"]])
            )
            #expect(patched.data == ["l": "3"])
            let listed = try await client.listAll(Core.ConfigMap.self, in: .object(key))
            #expect(listed == [patched])
            let wrong = await #expect(throws: APIError.self) {
                try await client.delete(
                    Core.ConfigMap.self,
                    key,
                    options: DeleteOptions(preconditions: Preconditions(uid: "other"))
                )
            }
            #expect(wrong?.isConflict == true)
            try await client.delete(
                Core.ConfigMap.self,
                key,
                options: DeleteOptions(preconditions: Preconditions(uid: map.metadata.uid))
            )
            let gone = await #expect(throws: APIError.self) {
                try await client.delete(Core.ConfigMap.self, key)
            }
            #expect(gone?.isNotFound == true)
        }
    }

    @Test("server-side apply owns what it sets, and says whose a field is")
    func apply() async throws {
        try await withNamespace { client, namespace in
            let first = try await client.apply(
                configMap(namespace, ["k": "1", "l": "1"]),
                fieldManager: "one"
            )
            let same = try await client.apply(
                configMap(namespace, ["k": "1", "l": "1"]),
                fieldManager: "one"
            )
            #expect(same.metadata.resourceVersion == first.metadata.resourceVersion)
            let conflict = await #expect(throws: APIError.self) {
                try await client.apply(configMap(namespace, ["k": "2"]), fieldManager: "two")
            }
            #expect(conflict?.status?.isApplyConflict == true)
            #expect(conflict?.status?.details?.causes.first?.field == ".data.k")
            let forced = try await client.apply(
                configMap(namespace, ["k": "2"]),
                fieldManager: "two",
                force: true
            )
            #expect(forced.data == ["k": "2", "l": "1"])
            let dropped = try await client.apply(configMap(namespace, [:]), fieldManager: "one")
            #expect(dropped.data == ["k": "2"])
        }
    }

    @Test("an apply that makes an object leaves alone what is there, whatever that sets")
    func applyNew() async throws {
        try await withNamespace { client, namespace in
            let made = try await client.applyNew(
                configMap(namespace, ["k": "1"]),
                fieldManager: "one"
            )
            #expect(made.data == ["k": "1"])
            let conflict = await #expect(throws: APIError.self) {
                // Without a field in common: an apply alone would be merged into it.
                try await client.applyNew(configMap(namespace, ["l": "2"]), fieldManager: "two")
            }
            #expect(conflict?.isConflict == true)
            #expect(try await client.get(Core.ConfigMap.self, made.key).data == ["k": "1"])
            // What it made is its manager's: a later apply takes it out.
            let emptied = try await client.apply(configMap(namespace, [:]), fieldManager: "one")
            #expect(emptied.data == [:])
        }
    }

    @Test("what the server refuses is told apart")
    func refusals() async throws {
        try await withNamespace { client, namespace in
            _ = try await client.create(configMap(namespace, [:]))
            let again = await #expect(throws: APIError.self) {
                try await client.create(configMap(namespace, [:]))
            }
            #expect(again?.isAlreadyExists == true && again?.isConflict == false)
            var bad = configMap(namespace, [:])
            bad.metadata.name = "Not A Name"
            let invalid = await #expect(throws: APIError.self) { try await client.create(bad) }
            #expect(invalid?.isInvalid == true)
            #expect(invalid?.status?.details?.causes.first?.field == "metadata.name")
            let old = await #expect(throws: APIError.self) {
                _ = try await client.list(
                    Core.ConfigMap.self,
                    options: ListOptions(continueToken: "nonsense")
                )
            }
            #expect(old?.status?.code == 400)
        }
    }

    @Test("wrong credentials and an untrusted server are told apart")
    func strangers() async throws {
        var configuration = try ClientConfiguration.load(kubeconfig: TestAPIServer.kubeconfig)
        let key = ObjectKey(name: "default")
        configuration.tls.certificate = nil
        configuration.tls.key = nil
        configuration.credential = .token("nonsense")
        let stranger = KubernetesClient(configuration: configuration)
        let refused = await #expect(throws: APIError.self) {
            try await stranger.get(Core.Namespace.self, key)
        }
        #expect(refused?.status?.isUnauthorized == true)
        configuration.tls.authorities = Data("garbage".utf8)
        let untrusting = KubernetesClient(configuration: configuration)
        let error = await #expect(throws: APIError.self) {
            try await untrusting.get(Core.Namespace.self, key)
        }
        guard case .transport(let failure)? = error, failure.kind == .tls else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("a fenced client reads, and writes only while it may")
    func fencing() async throws {
        try await withNamespace { client, namespace in
            let mayWrite = Flag()
            let fenced = client.fenced { mayWrite.value ? .seconds(30) : nil }
            _ = try await fenced.listAll(Core.ConfigMap.self, in: Scope(namespace: namespace))
            await #expect {
                _ = try await fenced.create(configMap(namespace, [:]))
            } throws: {
                if case APIError.fenced = $0 { true } else { false }
            }
            mayWrite.set(true)
            _ = try await fenced.create(configMap(namespace, [:]))
        }
    }

    @Test("a connection whose peer froze is given up: the next request has a new one")
    func frozen() async throws {
        var configuration = try ClientConfiguration.load(kubeconfig: TestAPIServer.kubeconfig)
        let port = try #require(
            configuration.server.split(separator: ":").last.flatMap {
                UInt16($0.prefix { $0.isNumber })
            }
        )
        let forwarder = try FaultyForwarder(to: port)
        defer { forwarder.stop() }
        configuration.server = "https://127.0.0.1:\(forwarder.port)"
        configuration.proxy = .none
        var client = KubernetesClient(configuration: configuration)
        client.timeout = .seconds(2)
        let key = ObjectKey(name: "default")
        _ = try await client.get(Core.Namespace.self, key)
        forwarder.freezeOpen()
        let error = await #expect(throws: APIError.self) {
            try await client.get(Core.Namespace.self, key)
        }
        #expect(error?.isTimedOut == true)
        _ = try await client.get(Core.Namespace.self, key)
        #expect(forwarder.accepted == 2)
    }

    @Test("a token for a service account can be made and used, read from its file for each request")
    func tokens() async throws {
        try await withNamespace { client, namespace in
            let key = ObjectKey(namespace: namespace, name: "robot")
            _ = try await client.create(
                Core.ServiceAccount {
                    $0.metadata = ObjectMeta(name: "robot", namespace: namespace)
                }
            )
            let made = try await client.createToken(
                serviceAccount: key,
                Authentication.TokenRequest { $0.spec.expirationSeconds = 3600 }
            )
            let token = try #require(made.status?.token)
            let directory = try ScratchDirectory()
            var configuration = client.configuration
            configuration.tls.certificate = nil
            configuration.tls.key = nil
            configuration.credential = .tokenFile(try directory.write("token", "nonsense"))
            let robot = KubernetesClient(configuration: configuration)
            let before = await #expect(throws: APIError.self) {
                try await robot.find(Core.ServiceAccount.self, key)
            }
            #expect(before?.status?.isUnauthorized == true)
            _ = try directory.write("token", token + "\n")
            let after = await #expect(throws: APIError.self) {
                try await robot.find(Core.ServiceAccount.self, key)
            }
            #expect(after?.isForbidden == true)
        }
    }

    @Test("a watch tells of changes and ends when it is left")
    func watch() async throws {
        try await withNamespace { client, namespace in
            let scope = Scope(namespace: namespace)
            let start = try await client.list(Core.ConfigMap.self, in: scope).resourceVersion
            let options = WatchOptions(resourceVersion: start, timeoutSeconds: 30)
            var seen: [String] = []
            try await client.withWatch(Core.ConfigMap.self, in: scope, options: options) { events in
                _ = try await client.create(configMap(namespace, [:]))
                for try await event in events {
                    switch event {
                    case .added(let map):
                        seen.append("added \(map.metadata.name)")
                        try await client.delete(Core.ConfigMap.self, map.key)
                    case .deleted(let map):
                        seen.append("deleted \(map.metadata.name)")
                        return
                    default: break
                    }
                }
            }
            #expect(seen == ["added a", "deleted a"])
        }
    }

    @Test("warnings of the server are handed on")
    func warned() async throws {
        try await withNamespace { client, namespace in
            var request = try Request.create(configMap(namespace, [:]))
            request.body = Data(#"{"apiVersion":"v1","kind":"ConfigMap","nope":1}"#.utf8)
            request.query = [Request.QueryItem(name: "fieldValidation", value: "Warn")]
            _ = try? await client.send(request)
            #expect(warnings.all.contains { $0.contains("unknown field \"nope\"") })
        }
    }

    private func deployment(_ namespace: String) -> Apps.Deployment {
        Apps.Deployment {
            $0.metadata = ObjectMeta(name: "d", namespace: namespace)
            $0.spec.replicas = 3
            $0.spec.selector = LabelSelector(matchLabels: ["app": "d"])
            $0.spec.template.metadata.labels = ["app": "d"]
            $0.spec.template.spec.containers = [
                Core.Container {
                    $0.name = "c"
                    $0.image = "i"
                }
            ]
        }
    }
}

final class Flag: Sendable {
    private let state = Mutex(false)
    var value: Bool { state.withLock { $0 } }
    func set(_ value: Bool) { state.withLock { $0 = value } }
}

final class Warnings: Sendable {
    private let state = Mutex<[String]>([])
    var all: [String] { state.withLock { $0 } }
    func add(_ text: String) { state.withLock { $0.append(text) } }
}
