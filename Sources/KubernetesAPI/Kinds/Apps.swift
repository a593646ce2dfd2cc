package import NetworkModel

/// The apps group.
package enum Apps {}

/// Which objects belong, by their labels.
package struct LabelSelector: Schema {
    @OmitEmpty package var matchLabels: [String: String] = [:]
    @OmitEmpty package var matchExpressions: [LabelSelectorRequirement] = []
    package init() {}

    package init(matchLabels: [String: String]) { self.matchLabels = matchLabels }
}

package struct LabelSelectorRequirement: Schema {
    package var key = ""
    /// In, NotIn, Exists or DoesNotExist.
    package var `operator` = ""
    @OmitEmpty package var values: [String] = []
    package init() {}
}

extension LabelSelector {
    /// Whether `labels` fit; an empty selector fits everything, an unknown operator nothing.
    package func matches(_ labels: [String: String]) -> Bool {
        matchLabels.allSatisfy { labels[$0.key] == $0.value }
            && matchExpressions.allSatisfy { requirement in
                let value = labels[requirement.key]
                return switch requirement.operator {
                case "In": value.map(requirement.values.contains) ?? false
                case "NotIn": !(value.map(requirement.values.contains) ?? false)
                case "Exists": value != nil
                case "DoesNotExist": value == nil
                default: false
                }
            }
    }
}

extension Apps {
    package struct Deployment: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "apps",
            version: "v1",
            kind: "Deployment",
            plural: "deployments"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = DeploymentSpec()
        @OmitEmpty package var status = DeploymentStatus()
        package init() {}
    }

    package struct DeploymentSpec: Schema {
        package var replicas: Int32?
        package var selector = LabelSelector()
        package var template = Core.PodTemplateSpec()
        package var strategy: DeploymentStrategy?
        package var minReadySeconds: Int32?
        package var revisionHistoryLimit: Int32?
        package var paused: Bool?
        package var progressDeadlineSeconds: Int32?
        package init() {}
    }

    package struct DeploymentStrategy: Schema {
        /// RollingUpdate or Recreate.
        package var type: String?
        package var rollingUpdate: RollingUpdate?
        package init() {}
    }

    package struct RollingUpdate: Schema {
        package var maxUnavailable: IntOrString?
        package var maxSurge: IntOrString?
        package init() {}
    }

    package struct DeploymentStatus: Schema {
        package var observedGeneration: Int64?
        package var replicas: Int32?
        package var updatedReplicas: Int32?
        package var readyReplicas: Int32?
        package var availableReplicas: Int32?
        package var unavailableReplicas: Int32?
        @OmitEmpty package var conditions: [DeploymentCondition] = []
        package init() {}
    }

    package struct DeploymentCondition: Schema {
        package var type = ""
        package var status = ""
        package var reason: String?
        package var message: String?
        package var lastUpdateTime: Timestamp?
        package var lastTransitionTime: Timestamp?
        package init() {}
    }

    package struct ReplicaSet: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "apps",
            version: "v1",
            kind: "ReplicaSet",
            plural: "replicasets"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = ReplicaSetSpec()
        @OmitEmpty package var status = ReplicaSetStatus()
        package init() {}
    }

    package struct ReplicaSetSpec: Schema {
        package var replicas: Int32?
        package var minReadySeconds: Int32?
        package var selector = LabelSelector()
        package var template: Core.PodTemplateSpec?
        package init() {}
    }

    package struct ReplicaSetStatus: Schema {
        package var replicas: Int32 = 0
        package var fullyLabeledReplicas: Int32?
        package var readyReplicas: Int32?
        package var availableReplicas: Int32?
        package var observedGeneration: Int64?
        package init() {}
    }
}
