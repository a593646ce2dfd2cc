package import KubernetesAPI
package import NetworkModel

/// What a Deployment needs next, computed from what exists.
package struct Rollout: Equatable, Sendable {
    /// One pod as a rollout sees it.
    package struct Member: Equatable, Sendable {
        package var name: String
        package var hash: String
        package var isReady: Bool
        package var isTerminating: Bool

        package init(name: String, hash: String, isReady: Bool, isTerminating: Bool) {
            self.name = name
            self.hash = hash
            self.isReady = isReady
            self.isTerminating = isTerminating
        }
    }

    /// Pods of the present revision to create.
    package var create = 0
    /// Names of pods to delete.
    package var delete: [String] = []
    package var status = Apps.DeploymentStatus()

    /// Decides from all pods that have not ended, of every revision, terminating ones too; `hash` is the
    /// present revision.
    package init(of workload: Workload, members: [Member], hash: String) {
        let desired = Int(workload.spec.replicas ?? 1)
        let alive = members.filter { !$0.isTerminating }
        let current = alive.filter { $0.hash == hash }
        let old = alive.filter { $0.hash != hash }
        let ready = alive.count { $0.isReady }

        if workload.spec.strategy?.type == "Recreate" {
            delete = old.map(\.name)
            // The old ones must be gone, not only be going.
            if !members.contains(where: { $0.hash != hash }) {
                create = max(0, desired - current.count)
            }
        } else {
            let limits = workload.limits(desired: desired)
            create = max(0, min(desired - current.count, desired + limits.surge - alive.count))
            delete = Self.surplus(old: old, ready: ready, keep: desired - limits.unavailable)
        }
        delete += Self.preferred(current).prefix(max(0, current.count - desired)).map(\.name)

        status.observedGeneration = workload.metadata.generation
        status.replicas = Int32(alive.count)
        status.updatedReplicas = Int32(current.count)
        status.readyReplicas = Int32(ready)
        status.availableReplicas = Int32(ready)
        status.unavailableReplicas = Int32(max(0, desired - ready))
    }

    /// Old pods that may go: those that serve nobody first, then as many as leave `keep` ready ones.
    private static func surplus(old: [Member], ready: Int, keep: Int) -> [String] {
        let idle = old.filter { !$0.isReady }
        let serving = old.filter(\.isReady)
        return (idle + serving.prefix(max(0, min(serving.count, ready - keep)))).map(\.name)
    }

    /// The order in which pods are given up: those not ready first.
    private static func preferred(_ members: [Member]) -> [Member] {
        members.filter { !$0.isReady } + members.filter(\.isReady).reversed()
    }
}

extension Workload {
    /// `maxSurge` and `maxUnavailable` as numbers; never both zero.
    package func limits(desired: Int) -> (surge: Int, unavailable: Int) {
        let update = spec.strategy?.rollingUpdate
        let surge = share(update?.maxSurge ?? .string("25%"), of: desired, roundingUp: true)
        let unavailable = share(
            update?.maxUnavailable ?? .string("25%"),
            of: desired,
            roundingUp: false
        )
        return surge == 0 && unavailable == 0 ? (0, 1) : (surge, unavailable)
    }

    private func share(_ value: IntOrString, of total: Int, roundingUp: Bool) -> Int {
        switch value {
        case .int(let number): Int(number)
        case .string(let text):
            ((Int(text.dropLast(text.hasSuffix("%") ? 1 : 0)) ?? 0) * total
                + (roundingUp ? 99 : 0)) / 100
        }
    }
}

extension Apps.DeploymentStatus {
    /// Adds the conditions that `kubectl wait` and `kubectl rollout status` look at.
    package mutating func setConditions(
        after previous: [Apps.DeploymentCondition],
        desired: Int,
        unavailableAllowed: Int,
        at now: Timestamp
    ) {
        let available = Int(availableReplicas ?? 0) >= desired - unavailableAllowed
        let complete =
            Int(updatedReplicas ?? 0) == desired && replicas == updatedReplicas
            && Int(availableReplicas ?? 0) >= desired
        conditions = [
            Self.condition(
                "Available",
                available,
                available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                available
                    ? "Deployment has minimum availability."
                    : "Deployment does not have minimum availability.",
                after: previous,
                at: now
            ),
            Self.condition(
                "Progressing",
                true,
                complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated",
                complete ? "The rollout is complete." : "The rollout is progressing.",
                after: previous,
                at: now
            ),
        ]
    }

    private static func condition(
        _ type: String,
        _ holds: Bool,
        _ reason: String,
        _ message: String,
        after previous: [Apps.DeploymentCondition],
        at now: Timestamp
    ) -> Apps.DeploymentCondition {
        let status = holds ? "True" : "False"
        let before = previous.first { $0.type == type }
        let sameStatus = before?.status == status
        return Apps.DeploymentCondition {
            $0.type = type
            $0.status = status
            $0.reason = reason
            $0.message = message
            $0.lastTransitionTime = sameStatus ? before?.lastTransitionTime : now
            $0.lastUpdateTime =
                sameStatus && before?.reason == reason ? before?.lastUpdateTime : now
        }
    }
}
