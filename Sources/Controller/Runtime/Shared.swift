import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import StatusSummaries
import Synchronization

/// What the three reconcilers share.
struct Shared: Sendable {
    let world: World
    let registry: SiteRegistry
    let queues: Queues
    let client: KubernetesClient
    let writer: Writer
    let statuses: StatusWriter
    /// The Secrets of sites, which no store holds.
    let secrets: SecretWatches
    let settings: ControllerSettings
    let clock: MonotonicClock
    let logger: Logger
    let compilations = CompilationCache()
    let settled = SettledChildren()
    private let leftovers = LeftoverMemory()

    /// How long until a name is looked at again whose holder is about to go.
    static let leavingRetry: Duration = .seconds(1)
    /// How long until a status is looked at again that waits for the first answer of a gateway.
    static let settling: Duration = .milliseconds(500)

    /// The Sites of a namespace that are ours to act on; nil when all that are there belong to another controller.
    ///
    /// A Site that does not decode is there too, with its metadata and status: it has its namespace as before.
    func ownSites(in namespace: String) -> [Site]? {
        let unreadable = world.sites.store.undecodable(in: namespace)
        let names = Set(unreadable.map(\.key))
        let all =
            world.sites.store.list(in: namespace).filter { !names.contains($0.key) }
            + unreadable.map(Site.init(standingInFor:))
        let own = all.filter {
            ($0.spec.controllerName ?? Site.controllerName) == Site.controllerName
        }
        return own.isEmpty && !all.isEmpty ? nil : own
    }

    /// Whether a Site or Service with that UID is there and stays.
    func isThere(_ uid: String) -> Bool {
        world.sites.store.holds(uid: uid) || world.services.store.holds(uid: uid)
    }

    /// Has every Link and Service of a namespace looked at.
    func enqueueDependents(of namespace: String) {
        for key in world.links.store.keys(in: namespace) { queues.links.add(key) }
        for key in world.services.store.keys(in: namespace) { queues.services.add(key) }
    }

    /// Has those Links and Services looked at that would be told something else.
    func enqueue(_ changes: RecordChanges, in namespace: String) {
        switch changes {
        case .all: enqueueDependents(of: namespace)
        case .objects(let objects):
            for object in objects {
                let key = ObjectKey(namespace: namespace, name: object.name)
                switch object.kind {
                case .link: queues.links.add(key)
                case .service: queues.services.add(key)
                case .site: break
                }
            }
        }
    }

    /// Has the Sites looked at whose statuses tell something else of what can be read.
    func takeUp(_ concern: InputHealth.Concern) {
        let namespaces: any Sequence<String> =
            switch concern {
            case .none: []
            case .namespaces(let names): names
            case .all: registry.namespaces
            }
        for namespace in namespaces { queues.sites.add(namespace) }
    }

    /// Looks at all Sites once it is known which budgets there are: nothing waits for those.
    func followBudgets() async {
        guard await world.budgets.waitUntilSynced() else { return }
        for site in world.sites.store.list() {
            if let namespace = site.metadata.namespace { queues.sites.add(namespace) }
        }
    }

    func view(of record: SiteRecord) -> SiteView {
        registry.view(
            of: world.gatewayPods(of: record.site),
            in: record.site.metadata.namespace ?? "",
            at: clock.now
        )
    }

    /// The gateways that are there in a namespace without a Site.
    func gatewaysLeft(in namespace: String) -> [GatewayView] {
        registry.view(of: world.gatewayPods(in: namespace), in: namespace, at: clock.now).gateways
    }

    func isTerminating(namespace: String) -> Bool {
        world.namespaces.store.get(ObjectKey(name: namespace))?.metadata.isTerminating ?? false
    }

    /// What is there under the names of `wanted`.
    ///
    /// The stores hold only ours. `asks`: the server is asked for what is not in one. Where a name is free as a rule it need not be:
    /// the first write of a child fails when there is something.
    func observe(_ wanted: [Child], asks: Bool) async throws(APIError) -> [Child] {
        var observed: [Child] = []
        for child in wanted {
            let known = stored(child)
            if let found = asks && known == nil ? try await find(child) : known {
                observed.append(found)
            }
        }
        return observed
    }

    func observe(_ child: Child) async throws(APIError) -> Child? {
        try await observe([child], asks: true).first
    }

    private func stored(_ child: Child) -> Child? {
        let key = child.key
        return switch child {
        case .serviceAccount: world.accounts.store.get(key).map(Child.serviceAccount)
        case .roleBinding: world.bindings.store.get(key).map(Child.roleBinding)
        case .deployment: world.deployments.store.get(key).map(Child.deployment)
        case .service: world.coreServices.store.get(key).map(Child.service)
        case .endpointSlice: world.slices.store.get(key).map(Child.endpointSlice)
        case .disruptionBudget: world.budgets.store.get(key).map(Child.disruptionBudget)
        }
    }

    private func find(_ child: Child) async throws(APIError) -> Child? {
        let key = child.key
        return switch child {
        case .serviceAccount:
            try await client.find(Core.ServiceAccount.self, key).map(Child.serviceAccount)
        case .roleBinding: try await client.find(RBAC.RoleBinding.self, key).map(Child.roleBinding)
        case .deployment: try await client.find(Apps.Deployment.self, key).map(Child.deployment)
        case .service: try await client.find(Core.Service.self, key).map(Child.service)
        case .endpointSlice:
            try await client.find(Discovery.EndpointSlice.self, key).map(Child.endpointSlice)
        case .disruptionBudget:
            try await client.find(Policy.PodDisruptionBudget.self, key).map(Child.disruptionBudget)
        }
    }
}

// What earlier owners left behind.
extension Shared {
    /// Removes what has been in the way for so long that the garbage collector seems not to come.
    ///
    /// A failure only means that it is tried again: whoever wants the name comes back.
    func clear(_ found: [Leftover]) async {
        guard !found.isEmpty else { return }
        for leftover in leftovers.watch.withLock({ $0.due(found, at: clock.now) }) {
            do {
                guard try await isGone(leftover.owner) else { continue }
                logger.notice(
                    "removing what was left behind",
                    metadata: ["what": "\(leftover.key)"]
                )
                try await writer.carryOut([
                    .delete(leftover.resource, leftover.key, uid: leftover.uid)
                ])
            } catch {
                logger.warning("cannot remove what was left behind: \(error)")
            }
        }
    }

    /// The stores may be behind; a deletion asks the server.
    private func isGone(_ owner: EarlierOwner) async throws(APIError) -> Bool {
        switch owner.kind {
        case Site.resource.kind:
            try await client.find(Site.self, owner.key)?.metadata.uid != owner.uid
        case Service.resource.kind:
            try await client.find(Service.self, owner.key)?.metadata.uid != owner.uid
        default: false
        }
    }
}

private final class LeftoverMemory: Sendable {
    let watch = Mutex(LeftoverWatch())
}

/// The keys to be worked on.
struct Queues: Sendable {
    /// Namespaces: the Sites of one are decided on together.
    let sites = WorkQueue<String>()
    let links = WorkQueue<ObjectKey>()
    let services = WorkQueue<ObjectKey>()
}

extension APIError {
    /// What a failed call means for a reconcile.
    var reconcileError: ReconcileError { .retry(description) }

    /// Whether somebody has to change something before the same call can succeed.
    var isRefusal: Bool { isInvalid || isForbidden }
}

extension ApplyFailure {
    init(_ error: APIError) { self.init(isInvalid: error.isInvalid, message: error.description) }
}

extension ReconcileResult {
    /// The one that comes back earlier.
    func sooner(_ other: ReconcileResult) -> ReconcileResult {
        switch (self, other) {
        case (.done, let result), (let result, .done): result
        case (.again(let left), .again(let right)): .again(after: min(left, right))
        }
    }
}
