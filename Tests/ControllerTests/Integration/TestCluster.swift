import Foundation
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import ProxyContract
import Testing

@testable import Controller

/// The API server that `TIELINE_TEST_KUBECONFIG` names; the tests that need it are left out without.
struct TestCluster: Sendable {
    static let kubeconfig = ProcessInfo.processInfo.environment["TIELINE_TEST_KUBECONFIG"]
    static var isThere: Bool { kubeconfig != nil }

    let client: KubernetesClient
    /// In the name of every namespace that this run makes.
    let tag = String(UInt32.random(in: .min ... .max), radix: 36)

    init() throws {
        client = KubernetesClient(
            configuration: try ClientConfiguration.load(kubeconfig: Self.kubeconfig)
        )
    }

    /// One that writes as a leading controller does.
    var writer: Writer {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let recorder = EventRecorder(
            client: client,
            controller: "test",
            instance: "test",
            logger: logger
        )
        return Writer(client: client, recorder: recorder, logger: logger)
    }

    /// The namespaces of a test, removed afterwards, with the custom resources in place.
    func withNamespaces(
        _ names: [String],
        _ body: ([String]) async throws -> Void
    ) async throws {
        try Self.run("kubectl", "apply", "--server-side", "-k", Self.root + "manifests/crds")
        try Self.run(
            Self.root + "hack/apiserver/served.sh",
            "sites.tieline.dev",
            "links.tieline.dev",
            "services.tieline.dev"
        )
        let names = names.map { "\($0)-\(tag)" }
        for name in names {
            _ = try await client.create(Core.Namespace { $0.metadata = ObjectMeta(name: name) })
        }
        func clean() async {
            for name in names {
                for service in (try? await client.listAll(Service.self, in: Scope(namespace: name)))
                    ?? []
                {
                    _ = try? await client.patch(
                        Service.self,
                        service.key,
                        .merge(["metadata": ["finalizers": nil]])
                    )
                }
                for resource in [Site.resource, Link.resource, Service.resource] {
                    var request = Request(method: .delete, path: resource.path(namespace: name))
                    request.contentType = "application/json"
                    _ = try? await client.send(request)
                }
                try? await client.delete(Core.Namespace.self, ObjectKey(name: name))
            }
        }
        do {
            try await body(names)
        } catch {
            await clean()
            throw error
        }
        await clean()
    }

    private static let root =
        URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path()

    private static func run(_ command: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["KUBECONFIG=" + (kubeconfig ?? "")] + command
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(command.joined(separator: " "))")
    }

    /// Runs a controller for as long as `body` runs.
    func withController(
        in namespace: String,
        _ body: () async throws -> Void
    ) async throws {
        var options = ControllerOptions(proxyImage: "tieline-proxy:dev")
        options.kubeconfig = Self.kubeconfig
        options.namespace = namespace
        options.adminHost = "127.0.0.1"
        options.adminPort = 0
        var logger = Logger(label: "controller") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel =
            ProcessInfo.processInfo.environment["TIELINE_TEST_LOG"].flatMap {
                Logger.Level(rawValue: $0)
            }
            ?? .critical
        let task = Task { [options, logger] in
            try await ControllerProgram.run(options, logger: logger)
        }
        do {
            try await body()
        } catch {
            task.cancel()
            _ = await task.result
            throw error
        }
        task.cancel()
        _ = await task.result
    }

    /// Runs `body` while the named fields of specs take any text; `fields` are (plural, path within spec).
    func withWiderSchemas(
        _ fields: [(plural: String, path: [String])],
        _ body: () async throws -> Void
    ) async throws {
        let kind = Resource(
            group: "apiextensions.k8s.io",
            version: "v1",
            kind: "CustomResourceDefinition",
            plural: "customresourcedefinitions",
            isNamespaced: false
        )
        func replace(_ plural: String, _ path: String, _ schema: JSONValue) async throws {
            let patch = Patch.json([
                ["op": "replace", "path": .string(path), "value": schema]
            ])
            let key = ObjectKey(name: "\(plural).tieline.dev")
            _ = try await client.send(try Request.patch(kind, key, patch))
        }
        var narrow: [(plural: String, path: String, schema: JSONValue)] = []
        for (plural, path) in fields {
            let bytes = try await client.send(.get(kind, ObjectKey(name: "\(plural).tieline.dev")))
            let definition = try JSONDecoder().decode(JSONValue.self, from: bytes)
            var schema = definition["spec"]?["versions"]?[0]?["schema"]?["openAPIV3Schema"]
            var pointer = "/spec/versions/0/schema/openAPIV3Schema"
            for name in ["spec"] + path {
                schema = schema?["properties"]?[name]
                pointer += "/properties/\(name)"
            }
            let found = try #require(schema, "\(plural) has no field \(path)")
            narrow.append((plural, pointer, found))
            try await replace(plural, pointer, ["type": "string"])
        }
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        for (plural, path, schema) in narrow { try await replace(plural, path, schema) }
        try outcome.get()
    }

    func makeSite(
        in namespace: String,
        name: String = "east",
        _ build: (inout SiteSpec) -> Void = { _ in }
    ) async throws -> Site {
        var site = Site(metadata: ObjectMeta(name: name, namespace: namespace))
        site.spec.proxy = ProxySettings(replicas: 1)
        build(&site.spec)
        return try await client.create(site)
    }

    /// What owns the pods of a gateway Deployment.
    static let replicaSet = OwnerReference(
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        name: "tieline-proxy-5d4f8",
        uid: "5d4f8",
        controller: true
    )

    /// Takes away what an object owned: no garbage collector runs here.
    func collect(_ owner: some KubernetesObject) async throws {
        func collect<Object: KubernetesObject>(_ type: Object.Type) async throws {
            let scope = Scope(namespace: owner.metadata.namespace)
            for object in try await client.listAll(type, in: scope)
            where object.metadata.controller?.uid == owner.metadata.uid {
                try await client.delete(type, object.key)
            }
        }
        try await collect(Core.Secret.self)
        try await collect(Core.Service.self)
        try await collect(Core.ServiceAccount.self)
        try await collect(RBAC.RoleBinding.self)
        try await collect(Policy.PodDisruptionBudget.self)
        try await collect(Apps.Deployment.self)
    }

    func makeService(
        in namespace: String,
        name: String = "backend",
        _ build: (inout ServiceSpec) -> Void = { _ in }
    ) async throws -> Service {
        var spec = ServiceSpec(ports: [.init(name: try #require(PortName("http")), port: 8080)])
        build(&spec)
        return try await client.create(
            Service(metadata: ObjectMeta(name: name, namespace: namespace), spec: spec)
        )
    }

    /// The names and versions of everything that a controller writes in these namespaces.
    func versions(_ namespaces: [String]) async throws -> [String: String] {
        var found: [String: String] = [:]
        func add<Object: KubernetesObject>(_ type: Object.Type) async throws {
            for namespace in namespaces {
                for object in try await client.listAll(type, in: Scope(namespace: namespace)) {
                    found["\(Object.resource.apiVersion) \(Object.resource.kind) \(object.key)"] =
                        object.metadata.resourceVersion
                }
            }
        }
        try await add(Site.self)
        try await add(Link.self)
        try await add(Service.self)
        try await add(Core.Secret.self)
        try await add(Core.Service.self)
        try await add(Core.ServiceAccount.self)
        try await add(RBAC.RoleBinding.self)
        try await add(Policy.PodDisruptionBudget.self)
        try await add(Apps.Deployment.self)
        try await add(Discovery.EndpointSlice.self)
        try await add(Events.Event.self)
        return found
    }

    func events(_ namespace: String, _ reason: EventReason) async throws -> [Events.Event] {
        try await client.listAll(Events.Event.self, in: Scope(namespace: namespace))
            .filter { $0.reason == reason.rawValue }
    }

    func document(_ namespace: String) async throws -> ConfigurationHead? {
        ConfigurationPlan.read(
            try await client.find(
                Core.Secret.self,
                ObjectKey(namespace: namespace, name: ChildName.configurationSecret)
            )
        )
    }
}

func condition(_ object: some NetworkObject, _ type: ConditionType) -> Condition? {
    object.status.conditions[type: type.rawValue]
}

/// All tests on the server, one after another: two controllers would fight over the same Sites.
@Suite(
    "Real API server",
    .serialized,
    .enabled(if: TestCluster.isThere)
)
enum OnServer {}

/// Waits for a condition; a deadline that passes is a failure that names what was waited for.
func eventually<Value>(
    _ what: String,
    within limit: Duration = .seconds(15),
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if let value = try await condition() { return value }
        try await Task.sleep(for: .milliseconds(50))
    }
    return try #require(try await condition(), "\(what)", sourceLocation: sourceLocation)
}

/// Waits until nothing was written for a whole `window`, and returns the versions then.
///
/// That nothing is written can only be seen by looking for a while. A controller that never ends writing fails here.
func whenQuiet<Versions: Equatable>(
    for window: Duration = .seconds(1),
    sourceLocation: SourceLocation = #_sourceLocation,
    _ versions: () async throws -> Versions
) async throws -> Versions {
    var last = try await versions()
    return try await eventually("nothing is written", sourceLocation: sourceLocation) {
        try await Task.sleep(for: window)
        let before = last
        last = try await versions()
        return last == before ? last : nil
    }
}

extension Bool {
    /// For `eventually`: nil while false.
    var orNil: Bool? { self ? true : nil }
}
