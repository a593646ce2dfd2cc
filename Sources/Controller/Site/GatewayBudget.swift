import KubernetesAPI
import NetworkAPI

/// How many of a Site's gateways may be evicted at a time: a drained node takes one, and the others go on.
enum GatewayBudget {
    /// Nil for a single gateway, whose node could not be drained then, and where somebody else's budget is for the gateways:
    /// of two, none is evicted.
    static func make(
        site: Site,
        settings: ControllerSettings,
        beside others: [Policy.PodDisruptionBudget]
    ) -> Child? {
        let deployment = GatewayDeployment.make(site: site, settings: settings)
        let labels = deployment.spec.template.metadata.labels
        let isTaken = others.contains { other in
            other.metadata.controller?.uid != site.metadata.uid
                && other.spec.selector?.matches(labels) == true
        }
        guard deployment.spec.replicas ?? 1 > 1, !isTaken else { return nil }
        return .disruptionBudget(
            Policy.PodDisruptionBudget {
                $0.metadata = ObjectMeta(child: ChildName.proxy, of: site)
                $0.spec.maxUnavailable = .int(1)
                $0.spec.selector = LabelSelector(matchLabels: Names.gatewaySelector(site))
                // One that is not ready serves nobody, and may not hold a node.
                $0.spec.unhealthyPodEvictionPolicy = "AlwaysAllow"
            }
        )
    }
}
