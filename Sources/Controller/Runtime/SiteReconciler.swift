import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import SiteConfiguration
import StatusSummaries
import Synchronization

/// Keeps what one namespace's Site needs: identity, credentials, configuration, gateways, core Services; and its status.
///
/// The key is the namespace, for all its Sites are decided on together. Writes come in an order of which each beginning is
/// valid: rights, Secrets, configuration, gateways, status.
struct SiteReconciler: Reconciler {
    let shared: Shared
    let cache = SiteCache()
    private let failures = FailureClock<String>()
    private let conflicts = FailureClock<String>()

    init(shared: Shared) { self.shared = shared }

    /// How long Secrets, ServiceAccounts and RoleBindings are taken as they were read; watching each Secret by its name
    /// would cost four streams for each site.
    private static let freshness: Duration = .seconds(60)

    func reconcile(_ namespace: String) async throws(ReconcileError) -> ReconcileResult {
        guard let sites = shared.ownSites(in: namespace),
            !shared.isTerminating(namespace: namespace)
        else {
            forget(namespace)
            return .done
        }
        let (chosen, findings) = chooseSite(sites)
        var result = ReconcileResult.done
        do {
            for site in sites where site.metadata.name != chosen?.metadata.name {
                result = result.sooner(try await refuse(site, findings: findings))
            }
            guard let chosen else {
                forget(namespace)
                return result
            }
            return result.sooner(try await bring(chosen))
        } catch {
            // What was read may be out of date: that is what most conflicts are.
            cache.forget(namespace)
            throw error.reconcileError
        }
    }

    /// Tells a Site that another one has the namespace.
    private func refuse(
        _ site: Site,
        findings: [Finding]
    ) async throws(APIError) -> ReconcileResult {
        guard !site.metadata.isTerminating,
            let finding = findings.first(where: { $0.object.name == site.metadata.name })
        else { return .done }
        var facts = SiteFacts()
        facts.finding = finding
        return try await summarise(site, facts: facts)
    }

    private func forget(_ namespace: String) {
        cache.forget(namespace)
        failures.end(namespace)
        conflicts.end(namespace)
        guard shared.registry[namespace] != nil else { return }
        shared.registry[namespace] = nil
        shared.enqueueDependents(of: namespace)
    }

    // MARK: From rights to gateways

    private func bring(_ site: Site) async throws(APIError) -> ReconcileResult {
        let namespace = site.metadata.namespace ?? ""
        var record = shared.registry[namespace] ?? SiteRecord(site: site)
        if record.site.metadata.uid != site.metadata.uid { record = SiteRecord(site: site) }
        record.site = site
        var facts = SiteFacts()
        var result = ReconcileResult.again(after: Self.freshness)
        let undecodable = shared.world.sites.store.undecodable(site.key)
        do {
            var objects = try await objects(of: site)
            facts.conflicts = objects.conflicts
            facts.waits = objects.waits
            var leftovers = objects.leftovers
            try await keepIdentity(site, &record, &objects, &facts, &leftovers)
            if undecodable != nil {
                // The gateways stay as they are; only their certificates must not end.
                keepDocument(site, &record, objects)
            } else if facts.finding == nil {
                try await keepConfiguration(site, &record, &objects, &facts, &leftovers)
                try await keepChildren(site, record, &objects, &facts, &leftovers)
            }
            result = result.sooner(renewal(objects.secrets, of: site))
            await shared.clear(leftovers)
            cache.set(objects, of: namespace)
            failures.end(namespace)
            // The holder of a name that we want is looked for again at the server.
            if !facts.conflicts.isEmpty || !facts.waits.isEmpty || facts.lostIdentity != nil {
                cache.forget(namespace)
            }
        } catch {
            let lasting = failures.failed(namespace, at: shared.clock.now)
            guard error.isTold(after: lasting) else { throw error }
            // The record is registered all the same: what does not depend on this goes on.
            facts.applyFailure = ApplyFailure(error)
            cache.forget(namespace)
            result = .again(after: .seconds(10))
        }
        let old = shared.registry[namespace]
        shared.registry[namespace] = record
        shared.enqueue(record.changes(since: old), in: namespace)
        if !facts.conflicts.isEmpty || facts.lostIdentity != nil {
            result = result.sooner(
                .again(after: conflicts.wait(namespace, at: shared.clock.now))
            )
        } else {
            conflicts.end(namespace)
        }
        if !facts.waits.isEmpty { result = result.sooner(.again(after: Shared.leavingRetry)) }
        if let undecodable {
            return result.sooner(try await shared.report(undecodable, as: Site.self))
        }
        observe(site, record: record, &facts)
        if facts.isUnseen { result = result.sooner(.again(after: Shared.leavingRetry)) }
        guard !facts.view.isSettling else { return result.sooner(.again(after: Shared.settling)) }
        return result.sooner(try await summarise(site, facts: facts))
    }

    /// What the stores do not hold: read anew once it is older than `freshness`.
    private func objects(of site: Site) async throws(APIError) -> SiteObjects {
        let now = shared.clock.now
        if let known = cache.get(site), now - known.read < Self.freshness { return known }
        // Our own rights come first: the Secrets cannot be read without them.
        let binding = SiteChildren.controllerBinding(site: site, settings: shared.settings)
        let rights = ChildrenPlan(
            wanted: [binding],
            observed: try await shared.observe([binding]),
            isThere: shared.isThere
        )
        try await shared.writer.carryOut(rights.writes)
        func secret(_ name: String) async throws(APIError) -> Core.Secret? {
            try await shared.client.find(
                Core.Secret.self,
                ObjectKey(namespace: site.metadata.namespace, name: name)
            )
        }
        var objects = SiteObjects(uid: site.metadata.uid, read: now)
        objects.secrets.authority = try await secret(ChildName.authoritySecret)
        objects.secrets.configuration = try await secret(ChildName.configurationSecret)
        objects.secrets.credentials = try await secret(ChildName.credentialsSecret)
        objects.secrets.edge = try await secret(ChildName.edgeSecret)
        let unwatched = SiteChildren.make(site: site, settings: shared.settings)
            .filter(\.isUnwatched)
        objects.children = try await shared.observe(unwatched)
        objects.conflicts = rights.conflicts
        objects.waits = rights.waits
        objects.leftovers = rights.leftovers
        return objects
    }

    private func keepChildren(
        _ site: Site,
        _ record: SiteRecord,
        _ objects: inout SiteObjects,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        let wanted = SiteChildren.make(
            site: site,
            siteID: record.siteID,
            settings: shared.settings
        )
        let watched = try await shared.observe(wanted.filter { !$0.isUnwatched })
        var plan = ChildrenPlan(
            wanted: wanted,
            observed: objects.children + watched,
            isThere: shared.isThere
        )
        plan.prune(shared.world.coreServices(controlledBy: site.metadata.uid), wanted: wanted)
        facts.conflicts += plan.conflicts
        facts.waits += plan.waits
        leftovers += plan.leftovers
        try await shared.writer.carryOut(plan.writes)
        // The stores have them as they were before: nothing that stands there speaks of what is wanted now.
        facts.isUnseen = plan.writes.contains { !$0.isUnwatched }
        if plan.writes.contains(where: { $0.isUnwatched }) {
            objects.children = try await shared.observe(wanted.filter(\.isUnwatched))
        }
    }

    private func renewal(_ secrets: SiteSecrets, of site: Site) -> ReconcileResult {
        let times = [secrets.credentials, secrets.edge]
            .filter { $0?.metadata.controller?.uid == site.metadata.uid }
            .compactMap(IdentityPlan.renewalTime)
        guard let first = times.min() else { return .done }
        return .again(after: .seconds(max(1, first.timeIntervalSinceNow.rounded(.up))))
    }
}
