/// The policy group.
package enum Policy {}

extension Policy {
    /// How many of some pods may be evicted at a time.
    package struct PodDisruptionBudget: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "policy",
            version: "v1",
            kind: "PodDisruptionBudget",
            plural: "poddisruptionbudgets"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = PodDisruptionBudgetSpec()
        package init() {}
    }

    package struct PodDisruptionBudgetSpec: Schema {
        package var minAvailable: IntOrString?
        package var maxUnavailable: IntOrString?
        /// Nil selects nothing, an empty one every pod of the namespace.
        package var selector: LabelSelector?
        /// IfHealthyBudget or AlwaysAllow.
        package var unhealthyPodEvictionPolicy: String?
        package init() {}
    }
}
