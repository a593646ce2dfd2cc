import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Telemetry

/// Tells in a Link's status what the gateways make of it; a Link has no children.
struct LinkReconciler: Reconciler {
    let shared: Shared

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        guard let namespace = key.namespace, shared.ownSites(in: namespace) != nil else {
            return .done
        }
        if let found = shared.world.links.store.undecodable(key) {
            do {
                return try await shared.report(found, as: Link.self)
            } catch {
                if error.isAbsence { return .done }
                throw error.reconcileError
            }
        }
        guard let link = shared.world.links.store.get(key) else { return .done }
        guard !link.metadata.isTerminating, let facts = observe(link, in: namespace) else {
            return .done
        }
        guard !facts.isSettling else { return .again(after: Shared.settling) }
        let now = Timestamp.now()
        let status = LinkSummary.make(link: link, facts: facts, at: now)
        do {
            let (outcome, stored) = try await shared.statuses.write(
                status,
                to: link,
                telling: events(link, status)
            )
            if case .wait(let time) = outcome { return .again(after: time) }
            return stored.siteAwaited(at: now).map { .again(after: $0) } ?? .done
        } catch {
            if error.isAbsence { return .done }
            throw error.reconcileError
        }
    }

    private func events(_ link: Link, _ status: LinkStatus) -> [EventPlan] {
        var next = link
        next.status = status
        return Transitions.link(
            next,
            before: link.status.conditions,
            after: status.conditions
        )
    }

    /// Nil: not ours to speak of, or not yet.
    private func observe(_ link: Link, in namespace: String) -> LinkFacts? {
        guard let sites = shared.ownSites(in: namespace) else { return nil }
        var facts = LinkFacts()
        guard let record = shared.registry[namespace] else {
            // A Site that is there is looked at first; its reconcile brings us back.
            return sites.contains { !$0.metadata.isTerminating } ? nil : facts
        }
        facts.hasSite = true
        facts.site = record.siteID.map { SiteName(id: $0, name: record.site.metadata.name) }
        facts.finding = record.findings(of: .link, link.metadata.name).first
        facts.tokenProblem = link.spec.tokenSecret.flatMap { record.tokenProblems[$0.name] }
        let view = shared.view(of: record)
        facts.isSettling = view.isSettling
        if let name = LinkName(link.metadata.name) { facts.view = LinkView(site: view, name: name) }
        facts.isCompiled = record.hasCompiled(link, .link)
        facts.isApplied = record.generation(of: link, .link).map(view.allApplied) ?? false
        return facts
    }
}
