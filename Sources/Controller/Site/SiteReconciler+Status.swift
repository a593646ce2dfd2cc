import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Telemetry

extension SiteReconciler {
    func observe(_ site: Site, record: SiteRecord, _ facts: inout SiteFacts) {
        let namespace = site.metadata.namespace ?? ""
        facts.view = shared.view(of: record)
        facts.generation = record.siteSince
        facts.problem =
            record.findings(of: .site, site.metadata.name).first.map {
                SpecProblem($0.message, reason: $0.reason)
            } ?? facts.problem
        facts.desiredGateways = site.spec.proxy?.replicas ?? ProxySettings.standardReplicas
        facts.notServing =
            "no gateway is ready yet; kubectl get pods -l \(Names.nameLabel)=\(ChildName.proxy) shows them"
        facts.rollout =
            shared.world.deployments.store
            .get(ObjectKey(namespace: namespace, name: ChildName.proxy))?.rolloutProblem
        let key = ObjectKey(namespace: namespace, name: ChildName.linkService)
        (facts.endpoints, facts.endpointsMissing) = SiteEndpoints.find(
            site: site,
            service: shared.world.coreServices.store.get(key)
        )
        facts.lackingSidecars = shared.world.askingPods.store.count(World.Index.lacking, namespace)
        facts.links = tally(shared.world.links.store, in: namespace)
        facts.services = tally(shared.world.services.store, in: namespace)
    }

    /// Objects that do not decode count, and are not ready.
    private func tally<Object: NetworkObject>(
        _ store: Store<Object>,
        in namespace: String
    ) -> SiteStatus.Tally {
        let unreadable = store.undecodable(in: namespace).map(\.key)
        // What the store has of those is an earlier state.
        let earlier = unreadable.compactMap(store.get)
        let notReadyNow = earlier.count {
            $0.status.conditions.isTrue(ConditionType.ready.rawValue)
        }
        let ready = store.count(World.Index.ready, namespace) - notReadyNow
        let total = store.count(in: namespace) + unreadable.count - earlier.count
        return SiteStatus.Tally(total: Int32(clamping: total), ready: Int32(clamping: ready))
    }

    func summarize(
        _ site: Site,
        facts: SiteFacts
    ) async throws(APIError) -> ReconcileResult {
        var facts = facts
        facts.unreadable = shared.world.inputs.message(forSiteIn: site.metadata.namespace ?? "")
        let status = SiteSummary.make(site: site, facts: facts, at: .now())
        let (outcome, stored) = try await shared.statuses.write(
            status,
            to: site,
            telling: Transitions.conflict(
                site,
                before: site.status.conditions,
                after: status.conditions
            )
        )
        for event in refusals(stored, facts.view) { shared.writer.record(event) }
        if case .wait(let time) = outcome { return .again(after: time) }
        return .done
    }

    private func refusals(_ site: Site, _ view: SiteView) -> [EventPlan] {
        let refused = view.gateways.compactMap(\.snapshot).flatMap(\.refused)
            .filter { $0.reason == .notAllowed }
        let now = shared.clock.now
        let news = cache.news(of: refused.map(\.site.id), at: site, at: now)
        var events = news.sites.compactMap { id in
            refused.first { $0.site.id == id }.flatMap { Transitions.refused(site, $0) }
        }
        if let others = news.others {
            events.append(Transitions.refusedOthers(site, others, seed: "\(Timestamp.now())"))
        }
        return events
    }
}
