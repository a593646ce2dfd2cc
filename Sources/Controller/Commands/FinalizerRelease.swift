import KubernetesAPI
import KubernetesClient
import Logging
import NetworkAPI

/// Makes an installation ready to go: Services are not held by a finalizer that nobody would take off any more.
///
/// The controllers are stopped first, because they would set it again. What is exposed in other namespaces stays, as all
/// else does that works without a controller.
package struct FinalizerRelease: Sendable {
    private let place: ClusterPlace

    package init(_ place: ClusterPlace) { self.place = place }

    /// How long controllers are waited for: they have ten seconds to end.
    private static let patience = Duration.seconds(60)
    /// Somebody else may change a Service between two calls.
    private static let rounds = 10

    @concurrent
    package func run() async throws {
        try await stopControllers()
        for _ in 0..<Self.rounds where try await releaseAll() { return }
        throw CommandFailed("some Services change all the time; their finalizers are still there")
    }

    private func stopControllers() async throws {
        let patch = try Request.patch(
            Apps.Deployment.resource,
            place.controllers,
            .merge(["spec": ["replicas": 0]]),
            subresource: "scale"
        )
        do {
            _ = try await place.client.send(patch)
        } catch {
            guard error.isAbsence else { throw error }
            return
        }
        let deadline = ContinuousClock.now + Self.patience
        let scope = Scope(namespace: place.namespace, labelSelector: Names.controllerSelector)
        while true {
            let pods = try await place.client.listAll(Core.Pod.self, in: scope)
            if pods.isEmpty { return place.logger.notice("the controllers are stopped") }
            guard ContinuousClock.now < deadline else {
                let names = pods.map(\.metadata.name).joined(separator: ", ")
                return place.logger.warning("still there, and not waited for: \(names)")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// True when no Service has the finalizer any more.
    private func releaseAll() async throws -> Bool {
        let services = try await place.client.listWhole(Service.self)
        var isDone = true
        for metadata in services.items.map(\.metadata) + services.undecodable.map(\.metadata) {
            guard metadata.finalizers.contains(Names.exposureFinalizer) else { continue }
            let isReleased = try await release(metadata)
            isDone = isDone && isReleased
        }
        return isDone
    }

    /// False when the Service has changed meanwhile.
    private func release(_ metadata: ObjectMeta) async throws -> Bool {
        let rest = metadata.finalizers.filter { $0 != Names.exposureFinalizer }
        let patch = try Request.patch(
            Service.resource,
            metadata.key,
            .merge([
                "metadata": [
                    "resourceVersion": .string(metadata.resourceVersion ?? ""),
                    "finalizers": .array(rest.map { .string($0) }),
                ]
            ]),
            fieldManager: Names.fieldManager
        )
        do {
            _ = try await place.client.send(patch)
            place.logger.notice("released \(metadata.key)")
            return true
        } catch {
            if error.isAbsence { return true }
            if error.isConflict { return false }
            throw error
        }
    }
}
