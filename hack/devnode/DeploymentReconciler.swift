import DevnodeCore
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkModel
import Synchronization
import Telemetry

/// Keeps the pods of Deployments, by way of a ReplicaSet object per template.
struct DeploymentReconciler: Reconciler {
    let client: KubernetesClient
    let workloads: Store<Workload>
    let revisions: Store<Revision>
    let pods: Store<Core.Pod>
    let assumed: AssumedPods

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        guard let workload = workloads.get(key), !workload.metadata.isTerminating else {
            return .done
        }
        do throws(APIError) {
            let owned = revisions.list(in: key.namespace ?? "").filter {
                $0.metadata.controller?.uid == workload.metadata.uid
            }
            let current = try await revision(of: workload, among: owned)
            let all = owned.contains { $0.key == current.key } ? owned : owned + [current]
            let members = members(of: all)
            let rollout = Rollout(of: workload, members: members, hash: current.hash)
            try await delete(rollout.delete, in: key.namespace)
            // What the status says holds whether or not the API server takes another pod.
            let refusal = await refusal(ofPodsFor: rollout, current)
            try await writeRevisions(all, current, workload, members)
            try await writeStatus(rollout, workload)
            if let refusal { throw refusal }
            return .done
        } catch {
            throw .retry("\(key): \(error)")
        }
    }

    private func revision(
        of workload: Workload,
        among owned: [Revision]
    ) async throws(APIError) -> Revision {
        let hash = workload.templateHash
        let newest = owned.map(\.number).max() ?? 0
        guard let found = owned.first(where: { $0.hash == hash }) else {
            let revision = workload.revision(number: newest + 1)
            do throws(APIError) {
                return try await client.create(revision)
            } catch {
                // The store may lag behind a creation of a moment ago.
                guard error.isAlreadyExists else { throw error }
                return try await client.get(Revision.self, revision.key)
            }
        }
        guard found.number < newest else { return found }
        // Rolled back to: it becomes the newest again.
        let number = JSONValue.string(String(newest + 1))
        return try await client.patch(
            Revision.self,
            found.key,
            .merge(["metadata": ["annotations": [Revision.revisionAnnotation: number]]])
        )
    }

    private func members(of revisions: [Revision]) -> [Rollout.Member] {
        guard let namespace = revisions.first?.metadata.namespace else { return [] }
        let hashes = Dictionary(
            revisions.compactMap { revision in
                revision.metadata.uid.map { ($0, revision.hash) }
            },
            uniquingKeysWith: { first, _ in first }
        )
        let seen = pods.list(in: namespace).compactMap { pod -> Rollout.Member? in
            guard let owner = pod.metadata.controller?.uid, let hash = hashes[owner],
                !pod.hasEnded
            else { return nil }
            return Rollout.Member(
                name: pod.metadata.name,
                hash: hash,
                isReady: pod.status.isReady,
                isTerminating: pod.metadata.isTerminating
            )
        }
        return assumed.complete(seen, owners: hashes, namespace: namespace)
    }

    private func delete(_ pods: [String], in namespace: String?) async throws(APIError) {
        for name in pods {
            let key = ObjectKey(namespace: namespace, name: name)
            do throws(APIError) {
                try await client.delete(Core.Pod.self, key)
            } catch {
                guard error.isNotFound else { throw error }
            }
            assumed.deleted(key)
        }
    }

    /// Makes the pods that are missing; gives why not all of them could be made.
    private func refusal(ofPodsFor rollout: Rollout, _ current: Revision) async -> APIError? {
        do throws(APIError) {
            for _ in 0..<rollout.create { try await createPod(of: current) }
            return nil
        } catch {
            return error
        }
    }

    private func createPod(of current: Revision) async throws(APIError) {
        let name =
            current.metadata.name + "-" + suffix(UInt64.random(in: 0...UInt64.max), characters: 5)
        let pod = PodFromTemplate(
            current.spec.template,
            of: current,
            name: name,
            node: NodeOptions.nodeName
        )
        let created = try await client.create(pod)
        assumed.created(created.key, owner: current.metadata.uid ?? "")
    }

    private func writeRevisions(
        _ revisions: [Revision],
        _ current: Revision,
        _ workload: Workload,
        _ members: [Rollout.Member]
    ) async throws(APIError) {
        for revision in revisions {
            let mine = members.filter { $0.hash == revision.hash && !$0.isTerminating }
            let ready = Int32(mine.count { $0.isReady })
            let wanted = revision.key == current.key ? workload.spec.replicas ?? 1 : 0
            if revision.spec.replicas != wanted {
                _ = try await client.patch(
                    Revision.self,
                    revision.key,
                    .merge(["spec": ["replicas": .integer(Int64(wanted))]])
                )
            }
            guard
                revision.status.replicas != Int32(mine.count)
                    || (revision.status.readyReplicas ?? 0) != ready
            else { continue }
            _ = try await client.patch(
                Revision.self,
                revision.key,
                .merge([
                    "status": [
                        "replicas": .integer(Int64(mine.count)),
                        "fullyLabeledReplicas": .integer(Int64(mine.count)),
                        "readyReplicas": .integer(Int64(ready)),
                        "availableReplicas": .integer(Int64(ready)),
                    ]
                ]),
                subresource: "status"
            )
        }
    }

    private func writeStatus(
        _ rollout: Rollout,
        _ workload: Workload
    ) async throws(APIError) {
        var status = rollout.status
        let desired = Int(workload.spec.replicas ?? 1)
        status.setConditions(
            after: workload.status.conditions,
            desired: desired,
            unavailableAllowed: workload.limits(desired: desired).unavailable,
            at: Timestamp(seconds: Timestamp.now().seconds)
        )
        guard status != workload.status else { return }
        let document: JSONValue
        do {
            document = try JSONValue(encoding: status)
        } catch {
            throw .request("the status does not encode: \(error)")
        }
        _ = try await client.patch(
            Workload.self,
            workload.key,
            .merge(["status": document]),
            subresource: "status"
        )
    }
}

/// Pods that were created or deleted a moment ago and that the store does not show so yet.
///
/// Without it, a reconcile that runs before its own last one has come back by the watch would create
/// the same pods again.
final class AssumedPods: Sendable {
    private struct State {
        var created: [ObjectKey: String] = [:]
        var deleted: Set<ObjectKey> = []
    }

    private let state = Mutex(State())

    func created(_ key: ObjectKey, owner: String) {
        state.withLock { $0.created[key] = owner }
    }

    func deleted(_ key: ObjectKey) {
        _ = state.withLock { $0.deleted.insert(key) }
    }

    /// The store has caught up with something that happened to a pod.
    func saw(_ change: Change<Core.Pod>) {
        state.withLock { state in
            state.created[change.key] = nil
            switch change {
            case .deleted: state.deleted.remove(change.key)
            case .added(let pod), .updated(_, let pod):
                if pod.metadata.isTerminating { state.deleted.remove(change.key) }
            }
        }
    }

    func complete(
        _ seen: [Rollout.Member],
        owners: [String: String],
        namespace: String
    ) -> [Rollout.Member] {
        state.withLock { state in
            var members = seen.map { member in
                var member = member
                let key = ObjectKey(namespace: namespace, name: member.name)
                if state.deleted.contains(key) { member.isTerminating = true }
                return member
            }
            let names = Set(seen.map(\.name))
            for (key, owner) in state.created where key.namespace == namespace {
                guard let hash = owners[owner], !names.contains(key.name) else { continue }
                members.append(
                    Rollout.Member(
                        name: key.name,
                        hash: hash,
                        isReady: false,
                        isTerminating: false
                    )
                )
            }
            return members
        }
    }
}
