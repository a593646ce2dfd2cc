import DevnodeCore
import KubernetesAPI
import KubernetesClient
import Logging

/// Runs the pods of the node.
actor Kubelet {
    private let context: PodContext
    private var workers: [String: (worker: PodWorker, namespace: String?)] = [:]

    init(context: PodContext) { self.context = context }

    /// A pod is new or has changed.
    func set(_ pod: Core.Pod) async {
        guard let uid = pod.metadata.uid else { return }
        if let (worker, _) = workers[uid] {
            if pod.metadata.isTerminating {
                let seconds = pod.metadata.deletionGracePeriodSeconds ?? 30
                await worker.stop(grace: .seconds(seconds), removing: true)
            }
            return
        }
        if pod.spec.nodeName == nil || pod.spec.nodeName == "" {
            await bind(pod)
            return
        }
        guard pod.spec.nodeName == NodeOptions.nodeName, !pod.hasEnded else { return }
        let worker = PodWorker(pod, context: context)
        workers[uid] = (worker, pod.metadata.namespace)
        if pod.metadata.isTerminating { await worker.stop(grace: .zero, removing: true) }
        Task { await worker.run() }
    }

    /// A pod's object is gone: normally after its end, with force before it.
    func remove(_ pod: Core.Pod) async {
        guard let uid = pod.metadata.uid, let entry = workers.removeValue(forKey: uid) else {
            return
        }
        await entry.worker.stop(grace: .seconds(1), removing: false)
    }

    /// Secrets or ConfigMaps of a namespace have changed.
    func objectsChanged(in namespace: String?) async {
        for (worker, home) in workers.values where home == namespace {
            await worker.objectsChanged()
        }
    }

    /// What the scheduler does, with one node to choose from.
    private func bind(_ pod: Core.Pod) async {
        do throws(APIError) {
            try await client(bind: pod)
        } catch {
            context.logger.debug("\(pod.key) is not bound: \(error)")
        }
    }

    private func client(bind pod: Core.Pod) async throws(APIError) {
        let body: JSONValue = [
            "apiVersion": "v1", "kind": "Binding",
            "metadata": ["name": .string(pod.metadata.name)],
            "target": [
                "apiVersion": "v1", "kind": "Node", "name": .string(NodeOptions.nodeName),
            ],
        ]
        try await context.client.post(
            body,
            to: Core.Pod.resource.path(
                namespace: pod.metadata.namespace,
                name: pod.metadata.name,
                subresource: "binding"
            )
        )
    }
}
