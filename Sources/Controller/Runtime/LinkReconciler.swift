import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import SiteConfiguration
import StatusSummaries
import Synchronization

/// Tells in a Link's status what the gateways make of it; a Link has no children.
struct LinkReconciler: Reconciler {
    let shared: Shared
    private let seen = SeenObjects()

    init(shared: Shared) { self.shared = shared }

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
        guard let link = shared.world.links.store.get(key) else {
            seen.forget(key)
            return .done
        }
        guard !link.metadata.isTerminating, let facts = observe(link, in: namespace) else {
            return .done
        }
        guard !facts.isSettling else { return .again(after: Shared.settling) }
        let now = Timestamp.now()
        let status = LinkSummary.make(link: link, facts: facts, at: now)
        do {
            let (outcome, stored) = try await shared.statuses.write(status, to: link)
            let isFirst = seen.insert(stored)
            tell(before: link.status.conditions, stored, isFirst: isFirst, at: now)
            if case .wait(let time) = outcome { return .again(after: time) }
            return stored.awaitsSite ? .again(after: NoSite.patience) : .done
        } catch {
            if error.isAbsence { return .done }
            throw error.reconcileError
        }
    }

    private func tell(
        before: [Condition],
        _ link: Link,
        isFirst: Bool,
        at now: Timestamp
    ) {
        let after = link.status.conditions
        var events = Transitions.link(link, before: before, after: after)
        if isFirst, let connected = after[type: ConditionType.connected.rawValue],
            connected.status == .yes, now - connected.lastTransitionTime < .seconds(3600)
        {
            // Written to status by a process that may have ended before it could tell. Twice told is told once.
            events += Transitions.link(link, before: [], after: [connected])
        }
        for event in events { shared.writer.record(event) }
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
        let view = shared.view(of: record)
        facts.isSettling = view.isSettling
        if let name = LinkName(link.metadata.name) { facts.view = LinkView(site: view, name: name) }
        facts.isCompiled = record.hasCompiled(link, .link)
        facts.isApplied = record.generation(of: link, .link).map(view.allApplied) ?? false
        return facts
    }
}

/// Which objects this process has looked at already, until they are gone.
private final class SeenObjects: Sendable {
    private let uids = Mutex<[ObjectKey: String]>([:])

    /// True for the first time that the object is seen.
    func insert(_ object: some KubernetesObject) -> Bool {
        let uid = object.metadata.uid ?? ""
        return uids.withLock { $0.updateValue(uid, forKey: object.key) != uid }
    }

    func forget(_ key: ObjectKey) { uids.withLock { $0[key] = nil } }
}
