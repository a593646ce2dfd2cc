import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries
import Synchronization
import Telemetry

/// Keeps the core Services of a Service, what it exposes in other namespaces, and its status.
struct ServiceReconciler: Reconciler {
    let shared: Shared
    private let ledgers = FailoverMemory()
    private let failures = FailureClock<ObjectKey>()
    private let conflicts = FailureClock<ObjectKey>()
    /// Since when there has been no Site.
    private let absences = FailureClock<ObjectKey>()

    init(shared: Shared) { self.shared = shared }

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        do {
            if let found = shared.world.services.store.undecodable(key) {
                return try await reconcile(undecodable: found)
            }
            guard let service = shared.world.services.store.get(key) else {
                ledgers.forget(key)
                failures.end(key)
                conflicts.end(key)
                absences.end(key)
                try await sweep(key)
                return .done
            }
            return try await reconcile(service)
        } catch {
            if error.isAbsence { return .done }
            throw error.reconcileError
        }
    }

    /// What is there for it stays as it is, until it can be read or is deleted.
    private func reconcile(
        undecodable found: Undecodable
    ) async throws(APIError) -> ReconcileResult {
        if found.metadata.isTerminating {
            // What it exposed goes by what was written beside it, not by what the Service says.
            return try await reconcile(
                Service(metadata: found.metadata, spec: ServiceSpec(ports: []))
            )
        }
        guard shared.ownSites(in: found.key.namespace ?? "") != nil else { return .done }
        return try await shared.report(found, as: Service.self)
    }

    private func reconcile(_ service: Service) async throws(APIError) -> ReconcileResult {
        let namespace = service.metadata.namespace ?? ""
        guard let sites = shared.ownSites(in: namespace) else {
            return try await release(service)
        }
        let record = shared.registry[namespace]
        guard record != nil || sites.allSatisfy(\.metadata.isTerminating) else { return .done }
        var facts = ServiceFacts()
        var result = ReconcileResult.done
        let view = record.map { shared.view(of: $0) } ?? SiteView()
        let grace = grace(of: service, hasSite: record != nil)
        facts.staysExposed = grace != nil
        do {
            let plan = try await plan(service, record: record, view: view, awaitsSite: grace != nil)
            facts.conflicts = plan.conflicts
            facts.waits = plan.waits
            if plan.conflicts.isEmpty, plan.waits.isEmpty {
                conflicts.end(service.key)
            } else {
                result = .again(after: conflicts.wait(service.key, at: shared.clock.now))
            }
            if !plan.waits.isEmpty {
                result = .again(after: Shared.leavingRetry)
                try await sweep(service.key)
                await shared.clear(plan.leftovers)
            }
            try await shared.writer.carryOut(
                plan.writes,
                of: service,
                hadChildren: service.status.conditions.isTrue(ConditionType.programmed.rawValue)
            )
            failures.end(service.key)
        } catch {
            let lasting = failures.failed(service.key, at: shared.clock.now)
            guard error.isTold(after: lasting) else { throw error }
            facts.applyFailure = ApplyFailure(error)
            result = .again(after: .seconds(10))
        }
        if let grace { result = result.sooner(.again(after: grace)) }
        guard !service.metadata.isTerminating else { return result }
        guard !view.isSettling else { return result.sooner(.again(after: Shared.settling)) }
        if let record { observe(service, record: record, view: view, &facts) }
        return result.sooner(try await summarize(service, facts: facts))
    }

    /// How long what is in other namespaces still waits for a Site; nil: there is one, nothing waits, or it has waited enough.
    private func grace(of service: Service, hasSite: Bool) -> Duration? {
        guard !hasSite else {
            absences.end(service.key)
            return nil
        }
        let absence = absences.failed(service.key, at: shared.clock.now)
        guard service.metadata.finalizers.contains(Names.exposureFinalizer) else { return nil }
        return NoSite.grace(
            absence: absence,
            isNamespaceTerminating: shared.isTerminating(
                namespace: service.metadata.namespace ?? ""
            )
        )
    }

    private func observe(
        _ service: Service,
        record: SiteRecord,
        view: SiteView,
        _ facts: inout ServiceFacts
    ) {
        facts.hasSite = true
        facts.site = record.siteID.map { SiteName(id: $0, name: record.site.metadata.name) }
        facts.findings = record.findings(of: .service, service.metadata.name)
        facts.servingGateways = view.gateways.count(where: \.isServing)
        facts.isSilent = facts.servingGateways > 0 && view.snapshots.isEmpty
        facts.isCompiled = record.hasCompiled(service, .service)
        facts.isApplied =
            record.generation(of: service, .service).map(view.allApplied) ?? false
        facts.selection = shared.world.selection(of: service, at: .now())
        let address = record.service(service.metadata.name)?.address
        if let address { facts.view = ServiceView(site: view, address: address) }
    }

    // MARK: Children

    /// Everything that has to be written, in an order of which each beginning is valid.
    private func plan(
        _ service: Service,
        record: SiteRecord?,
        view: SiteView,
        awaitsSite: Bool = false
    ) async throws(APIError) -> ChildrenPlan {
        let configuration = record?.service(service.metadata.name)
        // What kept the last attempt from its end may have one of the names.
        let asks = failures.isFailing(service.key) || conflicts.isFailing(service.key)
        var own: [Child] = []
        if let record, !service.metadata.isTerminating {
            own = ServiceChildren.make(
                service: service,
                site: record.site,
                configuration: configuration
            )
        }
        var exposed = exposures(of: service, configuration, view)
        let held = service.metadata.finalizers.contains(Names.exposureFinalizer)
        // Nothing is put into another namespace before the finalizer sees to its removal.
        if !exposed.isEmpty, !held {
            var plan = ChildrenPlan(
                wanted: own,
                observed: try await shared.observe(own, asks: asks),
                settled: shared.settled,
                isThere: shared.isThere
            )
            plan.writes += finalizers(
                service,
                service.metadata.finalizers + [Names.exposureFinalizer]
            )
            return plan
        }
        // Also without the finalizer: what was made just before it went may have been heard of late.
        let there = service.metadata.uid.map(shared.world.exposures(of:)) ?? []
        let stays: [Child]
        if awaitsSite {
            (stays, exposed) = awaitingSite(there, of: service)
        } else {
            stays = kept(there, of: service, record, configuration)
        }
        let wanted = own + exposed
        var plan = ChildrenPlan(
            wanted: wanted,
            observed: try await shared.observe(wanted, asks: asks),
            settled: shared.settled,
            isThere: shared.isThere
        )
        // A Service that cannot be used keeps its core Services, with their addresses, until it can.
        if configuration != nil, !service.metadata.isTerminating {
            plan.prune(shared.world.coreServices(controlledBy: service.metadata.uid), wanted: own)
        }
        plan.prune(there, wanted: exposed + stays)
        if held, exposed.isEmpty, there.isEmpty {
            plan.writes += finalizers(
                service,
                service.metadata.finalizers.filter { $0 != Names.exposureFinalizer }
            )
        }
        return plan
    }

    /// What a Service wants in other namespaces.
    private func exposures(
        of service: Service,
        _ configuration: ServiceConfiguration?,
        _ view: SiteView
    ) -> [Child] {
        guard let configuration, service.spec.listen?.namespaces != nil else { return [] }
        return Exposure.namespaces(of: service, among: shared.world.namespaces.store.list())
            .flatMap { namespace in
                Exposure.children(
                    of: service,
                    in: namespace,
                    configuration: configuration,
                    gateways: view.gateways
                )
            }
    }

    /// What stays where it is: absence of a configuration, or of a namespace that does not decode, is no wish.
    private func kept(
        _ there: [Child],
        of service: Service,
        _ record: SiteRecord?,
        _ configuration: ServiceConfiguration?
    ) -> [Child] {
        guard record != nil else { return [] }
        return Exposure.kept(
            there,
            of: service,
            isUsable: configuration != nil,
            among: shared.world.namespaces.store.list(),
            unreadable: Set(shared.world.namespaces.store.undecodable().map(\.key.name))
        )
    }

    private func awaitingSite(
        _ there: [Child],
        of service: Service
    ) -> (stays: [Child], mirrors: [Child]) {
        Exposure.awaitingSite(
            there,
            of: service,
            among: shared.world.namespaces.store.list(),
            unreadable: Set(shared.world.namespaces.store.undecodable().map(\.key.name)),
            gateways: shared.gatewaysLeft(in: service.metadata.namespace ?? "")
        )
    }

    private func finalizers(_ service: Service, _ list: [String]) -> [Write] {
        guard let version = service.metadata.resourceVersion else { return [] }
        return [.setFinalizers(service.key, resourceVersion: version, list)]
    }

    /// Takes back what was exposed before the namespace came under another controller; nothing else is touched.
    private func release(_ service: Service) async throws(APIError) -> ReconcileResult {
        guard service.metadata.finalizers.contains(Names.exposureFinalizer) else { return .done }
        try await shared.writer.carryOut(plan(service, record: nil, view: SiteView()).writes)
        return .done
    }

    /// Removes what a Service that is gone has left in other namespaces.
    ///
    /// The finalizer sees to that as a rule; it may have been taken off by hand. The server is asked whether the
    /// owner is really gone before anything is deleted.
    private func sweep(_ key: ObjectKey) async throws(APIError) {
        let left = shared.world.exposures(ofServiceAt: key)
        guard !left.isEmpty else { return }
        let owner = try await shared.client.find(Service.self, key)
        var plan = ChildrenPlan()
        plan.prune(
            left.filter { $0.object.metadata.labels[Names.ownerLabel] != owner?.metadata.uid },
            wanted: []
        )
        try await shared.writer.carryOut(plan.writes)
    }

    // MARK: Status

    private func summarize(
        _ service: Service,
        facts: ServiceFacts
    ) async throws(APIError) -> ReconcileResult {
        let now = Timestamp.now()
        var current = service
        var status = ServiceSummary.make(service: service, facts: facts, at: now)
        var ledger = ledgers.ledger(of: service)
        if ledgers.isFirst(service), let last = service.status.lastFailover,
            now - last.time < .seconds(3600)
        {
            // Written to status by a process that may have ended before it could tell.
            shared.writer.record(Transitions.failover(service, Failover(last)))
        }
        // One told failover at a time: each is in status, with its cursors, before its Event is made.
        while let step = FailoverStep.next(
            status: status,
            records: facts.view.failovers,
            ledger: &ledger
        ) {
            let (_, stored) = try await shared.statuses.write(
                step.status,
                to: current,
                telling: events(current, step.status)
            )
            if case .some(let event) = step.event {
                shared.writer.record(Transitions.failover(service, event))
            }
            current = stored
            status = step.status
            ledgers.set(ledger, of: service)
            guard step.hasMore else { break }
        }
        let (outcome, stored) = try await shared.statuses.write(
            status,
            to: current,
            telling: events(current, status)
        )
        ledgers.set(ledger, of: service)
        if case .wait(let time) = outcome { return .again(after: time) }
        return stored.siteAwaited(at: now).map { .again(after: $0) } ?? .done
    }

    private func events(_ service: Service, _ status: ServiceStatus) -> [EventPlan] {
        let (then, now) = (service.status.conditions, status.conditions)
        var events = Transitions.conflict(service, before: then, after: now)
        if let event = Transitions.targets(service, before: then, after: now) {
            events.append(event)
        }
        return events
    }
}

/// Which failovers of each Service later records may belong to; starts from what the status says.
private final class FailoverMemory: Sendable {
    private let ledgers = Mutex<[ObjectKey: (uid: String?, ledger: FailoverLedger)]>([:])

    /// Whether this process has not looked at the Service yet.
    func isFirst(_ service: Service) -> Bool {
        ledgers.withLock { $0[service.key]?.uid != service.metadata.uid }
    }

    func ledger(of service: Service) -> FailoverLedger {
        let known = ledgers.withLock { $0[service.key] }
        if let known, known.uid == service.metadata.uid { return known.ledger }
        return FailoverLedger(recent: service.status.lastFailover.map { [Failover($0)] } ?? [])
    }

    func set(_ ledger: FailoverLedger, of service: Service) {
        ledgers.withLock { $0[service.key] = (service.metadata.uid, ledger) }
    }

    func forget(_ key: ObjectKey) { ledgers.withLock { $0[key] = nil } }
}
