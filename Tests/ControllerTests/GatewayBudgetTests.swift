import KubernetesAPI
import KubernetesRuntime
import NetworkAPI
import Testing

@testable import Controller

@Suite("Disruption budget of the gateways")
struct GatewayBudgetTests {
    private func budget(
        replicas: Int32?,
        beside others: [Policy.PodDisruptionBudget] = []
    ) -> Policy.PodDisruptionBudget? {
        let site = Samples.site {
            $0.proxy = ProxySettings(replicas: replicas)
            $0.proxy?.podLabels = ["team": "a"]
        }
        let child = GatewayBudget.make(site: site, settings: Samples.settings, beside: others)
        guard case .disruptionBudget(let found)? = child else { return nil }
        return found
    }

    private func other(
        _ selector: LabelSelector?,
        owner: OwnerReference? = nil
    ) -> Policy.PodDisruptionBudget {
        Policy.PodDisruptionBudget {
            $0.metadata = ObjectMeta(name: "mine", namespace: "shop")
            $0.metadata.ownerReferences = owner.map { [$0] } ?? []
            $0.spec.selector = selector
        }
    }

    @Test("lets one of several go at a time; a single one would hold its node, and has none")
    func replicas() throws {
        let found = try #require(budget(replicas: 2))
        #expect(found.spec.maxUnavailable == .int(1) && found.spec.minAvailable == nil)
        #expect(found.spec.unhealthyPodEvictionPolicy == "AlwaysAllow")
        #expect(found.metadata.controller?.kind == "Site" && found.metadata.isManaged)
        let labels = GatewayDeployment.make(site: Samples.site(), settings: Samples.settings)
            .spec.template.metadata.labels
        #expect(found.spec.selector?.matches(labels) == true)
        #expect(budget(replicas: 1) == nil && budget(replicas: 0) == nil)
        #expect((budget(replicas: nil) != nil) == (ProxySettings.standardReplicas > 1))
    }

    @Test("gives way to somebody else's for the gateways: a pod of two budgets is never evicted")
    func others() {
        let site = Samples.site()
        for selector in [
            LabelSelector(), LabelSelector(matchLabels: ["team": "a"]),
            LabelSelector(matchLabels: Names.gatewaySelector(site)),
        ] {
            #expect(budget(replicas: 2, beside: [other(selector)]) == nil)
        }
        for selector in [nil, LabelSelector(matchLabels: ["app": "web"])] {
            #expect(budget(replicas: 2, beside: [other(selector)]) != nil)
        }
        let own = other(
            LabelSelector(matchLabels: Names.gatewaySelector(site)),
            owner: OwnerReference(controlledBy: site)
        )
        #expect(budget(replicas: 2, beside: [own]) != nil)
    }

    @Test("is looked at when it means something else, not when its pods are counted")
    func meaning() {
        var new = other(LabelSelector(matchLabels: ["app": "web"]))
        let old = new
        new.metadata.resourceVersion = "2"
        #expect(!KubernetesRuntime.Change.updated(old: old, new: new).hasNewMeaning)
        new.spec.maxUnavailable = .int(0)
        #expect(KubernetesRuntime.Change.updated(old: old, new: new).hasNewMeaning)
    }
}
