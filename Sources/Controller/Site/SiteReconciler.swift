import Certificates
import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
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

    /// How long Secrets are taken as they were read whose changes the server does not tell.
    static let freshness: Duration = .seconds(60)

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
        return try await summarize(site, facts: facts)
    }

    private func forget(_ namespace: String) {
        cache.forget(namespace)
        shared.secrets.forget(namespace)
        shared.world.inputs.forgetSecrets(of: namespace)
        shared.compilations.forget(namespace)
        failures.end(namespace)
        conflicts.end(namespace)
        guard shared.registry[namespace] != nil else { return }
        shared.registry[namespace] = nil
        shared.enqueueDependents(of: namespace)
    }

    // MARK: From rights to gateways

    private func bring(_ site: Site) async throws(APIError) -> ReconcileResult {
        let namespace = site.metadata.namespace ?? ""
        var record = self.record(of: site, in: namespace)
        var facts = SiteFacts()
        var result = ReconcileResult.done
        let undecodable = shared.world.sites.store.undecodable(site.key)
        do {
            var leftovers: [Leftover] = []
            try await keepRights(site, &facts, &leftovers)
            var objects = try await objects(of: site, &facts)
            try await keepIdentity(site, &record, &objects, &facts, &leftovers)
            if undecodable != nil {
                // The gateways stay as they are; only their certificates must not end.
                try await keepDocument(site, &record, objects, &facts)
            } else if facts.finding == nil {
                result = result.sooner(await keepJoins(site, &record, &objects))
                result = result.sooner(
                    try await keepConfiguration(site, &record, &objects, &facts, &leftovers)
                )
                try await keepChildren(site, record, &facts, &leftovers)
                result = result.sooner(try await keepBudget(site, &leftovers))
            }
            result = result.sooner(renewal(&objects, of: site))
            await shared.clear(leftovers)
            cache.set(objects, of: namespace)
            if !follow(objects.secrets, of: site) {
                result = result.sooner(.again(after: Self.freshness))
            }
            failures.end(namespace)
            // The holder of a name that we want is looked for again at the server.
            if !facts.conflicts.isEmpty || !facts.waits.isEmpty || facts.identityProblem != nil {
                cache.forget(namespace)
            }
        } catch {
            let lasting = failures.failed(namespace, at: shared.clock.now)
            guard isTold(error, after: lasting, facts, in: namespace) else { throw error }
            // The record is registered all the same: what does not depend on this goes on.
            // What cannot be read is unknown, not refused.
            if facts.readFailure == nil { facts.applyFailure = ApplyFailure(error) }
            cache.forget(namespace)
            result = .again(after: .seconds(10))
        }
        let old = shared.registry[namespace]
        shared.registry[namespace] = record
        shared.enqueue(record.changes(since: old), in: namespace)
        if !facts.conflicts.isEmpty || facts.identityProblem != nil {
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
        return result.sooner(try await summarize(site, facts: facts))
    }

    /// What is known of the Site, with its changes counted from here.
    private func record(of site: Site, in namespace: String) -> SiteRecord {
        var record = shared.registry[namespace] ?? SiteRecord(site: site)
        if record.site.metadata.uid != site.metadata.uid { record = SiteRecord(site: site) }
        record.site = site
        record.beginChanges()
        return record
    }

    /// Notes the Secrets as they are; false when a change of one of them would not be heard of.
    private func follow(_ secrets: SiteSecrets, of site: Site) -> Bool {
        var areHeard = true
        for (name, place) in places(of: site) {
            let key = ObjectKey(namespace: site.metadata.namespace, name: name)
            shared.secrets.note(secrets[keyPath: place], at: key)
            areHeard = areHeard && shared.secrets.hears(of: key)
        }
        return areHeard
    }

    private func places(
        of site: Site
    ) -> [(name: String, place: WritableKeyPath<SiteSecrets, Core.Secret?>)] {
        let links = shared.world.links.store.list(in: site.metadata.namespace ?? "")
        let tokens = Set(links.compactMap(\.spec.tokenSecret?.name)).filter {
            !ChildName.isReadable($0)
        }
        return SiteSecrets.places(of: site, tokens: tokens)
    }

    /// Our own rights come first: the Secrets cannot be read without them.
    private func keepRights(
        _ site: Site,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        let binding = SiteChildren.controllerBinding(site: site, settings: shared.settings)
        let plan = ChildrenPlan(
            wanted: [binding],
            observed: try await observe([binding], &facts),
            settled: shared.settled,
            isThere: shared.isThere
        )
        facts.conflicts += plan.conflicts
        facts.waits += plan.waits
        leftovers += plan.leftovers
        try await shared.writer.carryOut(
            plan.writes,
            of: site,
            hadChildren: site.status.siteID != nil
        )
    }

    /// The Secrets: as they are known, but for those that the server has told to be others.
    ///
    /// One that cannot be read is taken as it is known, if it is: what is written carries the version that it was made from, and
    /// one that has changed is told again once it can be read. Those of which the server told a change are read until that works.
    private func objects(
        of site: Site,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> SiteObjects {
        let namespace = site.metadata.namespace ?? ""
        let now = shared.clock.now
        let places = places(of: site)
        shared.secrets.follow(places.map(\.name), in: namespace)
        let known = cache.get(site)
        let isOld = known.map { now - $0.read >= Self.freshness } ?? true
        var objects = known ?? SiteObjects(of: site, read: now)
        if isOld { objects.read = now }
        for (name, place) in places {
            let key = ObjectKey(namespace: namespace, name: name)
            let isSure =
                objects.sought.contains(name) && (!isOld || shared.secrets.hears(of: key))
            let isContradicted = shared.secrets.contradict(
                objects.secrets[keyPath: place],
                at: key
            )
            if isSure, !isContradicted { continue }
            do {
                objects.secrets[keyPath: place] = try await find(key, &facts)
                if place == \.authority { objects.authority = nil }
                objects.sought.insert(name)
                objects.unread[name] = nil
            } catch {
                if !ChildName.isReadable(name), error.isForbidden {
                    // Its reader has to be named by whoever brings it; all else can be done meanwhile.
                    objects.unread[name] = facts.readFailure
                    objects.sought.insert(name)
                    facts.readFailure = nil
                    continue
                }
                guard known != nil, !isContradicted else { throw error }
                // The others would fail too, and may take long for it: a later turn asks again.
                facts.readFailure = nil
                break
            }
        }
        return objects
    }

    /// A Secret of the Site, as it is at the server.
    func find(
        _ key: ObjectKey,
        _ facts: inout SiteFacts
    ) async throws(APIError) -> Core.Secret? {
        let input = Input.secret(key)
        do {
            let found = try await shared.client.find(Core.Secret.self, key)
            if !shared.secrets.follows(key) { shared.world.inputs.note(input, .following) }
            return found
        } catch {
            let trouble = ReadingTrouble(error)
            if !shared.secrets.follows(key) { shared.world.inputs.note(input, .failed(trouble)) }
            facts.readFailure = InputAdvice.text(input, trouble)
            throw error
        }
    }

    /// What is there under the names of the Site's children.
    private func observe(
        _ wanted: [Child],
        _ facts: inout SiteFacts
    ) async throws(APIError) -> [Child] {
        var observed: [Child] = []
        for child in wanted {
            do {
                if let found = try await shared.observe(child) { observed.append(found) }
            } catch {
                let input = Input.kind(type(of: child.object).resource.fullName)
                facts.readFailure = InputAdvice.text(input, ReadingTrouble(error))
                throw error
            }
        }
        return observed
    }

    /// Whether status tells of a failure that lasts: of what cannot be read once it is known since when and why.
    private func isTold(
        _ error: APIError,
        after lasting: Duration,
        _ facts: SiteFacts,
        in namespace: String
    ) -> Bool {
        guard error.isTold(after: lasting) else { return false }
        return facts.readFailure == nil || lasting >= InputHealth.patience
            || shared.world.inputs.message(forSiteIn: namespace) != nil
    }

    private func keepChildren(
        _ site: Site,
        _ record: SiteRecord,
        _ facts: inout SiteFacts,
        _ leftovers: inout [Leftover]
    ) async throws(APIError) {
        let wanted = SiteChildren.make(
            site: site,
            siteID: record.siteID,
            settings: shared.settings
        )
        var plan = ChildrenPlan(
            wanted: wanted,
            observed: try await observe(wanted, &facts),
            settled: shared.settled,
            isThere: shared.isThere
        )
        plan.prune(shared.world.coreServices(controlledBy: site.metadata.uid), wanted: wanted)
        facts.conflicts += plan.conflicts
        facts.waits += plan.waits
        leftovers += plan.leftovers
        try await shared.writer.carryOut(
            plan.writes,
            of: site,
            hadChildren: site.status.siteID != nil
        )
        // The stores have them as they were before: nothing that stands there speaks of what is wanted now.
        facts.isUnseen = plan.writes.contains(where: \.isToldOf)
    }

    private func renewal(_ objects: inout SiteObjects, of site: Site) -> ReconcileResult {
        var times = [objects.authority?.warning].compactMap(\.self).filter { $0 > Date() }
        for role in ProxyRole.allCases {
            let secret = objects.secrets[keyPath: SiteSecrets.leaf(of: role)]
            guard secret?.metadata.controller?.uid == site.metadata.uid else { continue }
            if let time = objects.reading(of: role)?.renewal { times.append(time) }
        }
        guard let first = times.min() else { return .done }
        // A certificate that ends with its CA has no such time.
        let wait = min(first.timeIntervalSinceNow.rounded(.up), 86_400)
        return .again(after: .seconds(max(1, wait)))
    }
}
