import Injection
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// Everything of the cluster that the controller follows, as last seen.
struct World: Sendable {
    /// The names of the stores' indexes.
    enum Index {
        /// Children by the UID of the owner that controls them.
        static let controller = "controller"
        /// Core Services that lead to a site's gateways, by the site's namespace.
        static let gateways = "gateways"
        /// Services with `hosts`, by namespace.
        static let hosts = "hosts"
        /// What is exposed in other namespaces, by the UID of its Service, and by NAMESPACE/NAME of it.
        static let ownerUID = "owner-uid"
        static let owner = "owner"
        /// Links and Services that are Ready, by namespace.
        static let ready = "ready"
        /// Services by NAMESPACE/ADDRESS.
        static let address = "address"
        /// Services with something in other namespaces, or about to have, by "".
        static let exposing = "exposing"
        /// Pods that asked for a sidecar and have none, by namespace.
        static let lacking = "lacking"
    }

    let sites: Informer<Site>
    let links: Informer<Link>
    let services: Informer<Service>
    let namespaces: Informer<Core.Namespace>
    /// Those that we made.
    let coreServices: Informer<Core.Service>
    let deployments: Informer<Apps.Deployment>
    let slices: Informer<Discovery.EndpointSlice>
    let accounts: Informer<Core.ServiceAccount>
    let bindings: Informer<RBAC.RoleBinding>
    /// The gateways.
    let pods: Informer<Core.Pod>
    /// Those that ask for a sidecar, in all namespaces.
    let askingPods: Informer<AskingPod>
    /// All of them: two for one pod keep it from being evicted at all.
    let budgets: Informer<Policy.PodDisruptionBudget>

    /// Whether all this can be read.
    let inputs: Inputs

    init(client: KubernetesClient, logger: Logger) {
        let inputs = Inputs(logger: logger)
        self.inputs = inputs
        func follow<Object: KubernetesObject>(
            _ scope: Scope = Scope(),
            indexes: [StoreIndex<Object>] = []
        ) -> Informer<Object> {
            let input = Input.kind(Object.resource.fullName)
            return Informer(client: client, scope: scope, indexes: indexes, logger: logger) {
                inputs.note(input, $0)
            }
        }
        let ours = Scope(labelSelector: "\(Names.managedByLabel)=\(Names.managedBy)")
        sites = follow()
        links = follow(indexes: [.ready])
        services = follow(indexes: [.ready, .address, .exposing, .hosts])
        namespaces = follow()
        coreServices = follow(ours, indexes: [.controller, .ownerUID, .owner, .gateways])
        deployments = follow(ours)
        slices = follow(ours, indexes: [.controller, .ownerUID, .owner])
        accounts = follow(ours)
        bindings = follow(ours)
        pods = follow(Scope(labelSelector: "\(Names.nameLabel)=\(ChildName.proxy)"))
        budgets = follow()
        // Not among the inputs: Pods are, and nothing but words depends on these.
        askingPods = Informer(
            client: client,
            scope: Scope(labelSelector: "\(InjectionName.label)=\(InjectionName.enabled)"),
            indexes: [.lacking],
            logger: logger
        )
    }

    /// Follows the server until the task is canceled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await sites.run() }
            group.addTask { await links.run() }
            group.addTask { await services.run() }
            group.addTask { await namespaces.run() }
            group.addTask { await coreServices.run() }
            group.addTask { await deployments.run() }
            group.addTask { await slices.run() }
            group.addTask { await accounts.run() }
            group.addTask { await bindings.run() }
            group.addTask { await pods.run() }
            group.addTask { await budgets.run() }
            group.addTask { await askingPods.run() }
        }
    }

    /// The kinds that are followed, as rights name them, and whether a whole list was taken in.
    private var states: [(kind: String, hasSynced: Bool)] {
        func state<Object: KubernetesObject>(_ informer: Informer<Object>) -> (String, Bool) {
            (Object.resource.fullName, informer.hasSynced)
        }
        return [
            state(sites), state(links), state(services), state(namespaces), state(coreServices),
            state(deployments), state(slices), state(accounts), state(bindings), state(pods),
            state(budgets),
        ]
    }

    var kinds: [String] { states.map(\.kind) }

    /// The kinds of which no whole list was taken in yet; absence in the other stores means absence in the cluster.
    ///
    /// Budgets are not waited for: a Site works without one, and the rights of an earlier version do not have them.
    var unread: [String] {
        let optional = Policy.PodDisruptionBudget.resource.fullName
        return states.filter { !$0.hasSynced && $0.kind != optional }.map(\.kind)
    }

    /// Waits until every store has taken in a whole list; false when the task was canceled before.
    func waitUntilSynced() async -> Bool {
        guard await sites.waitUntilSynced(), await links.waitUntilSynced(),
            await services.waitUntilSynced(), await namespaces.waitUntilSynced(),
            await coreServices.waitUntilSynced(), await deployments.waitUntilSynced(),
            await slices.waitUntilSynced(), await pods.waitUntilSynced()
        else { return false }
        return true
    }

    /// The gateway pods of a namespace, whichever Site they are of; there may be none any more.
    func gatewayPods(in namespace: String) -> [Core.Pod] {
        pods.store.list(in: namespace).filter(\.isGateway)
    }

    /// The gateway pods of a Site, in the order of their names.
    func gatewayPods(of site: Site) -> [Core.Pod] {
        pods.store.list(in: site.metadata.namespace ?? "").filter { $0.isGateway(of: site) }
    }

    /// Our core Services and EndpointSlices that expose the Service with this UID in other namespaces.
    func exposures(of uid: String) -> [Child] {
        coreServices.store.list(Index.ownerUID, uid).map(Child.service)
            + slices.store.list(Index.ownerUID, uid).map(Child.endpointSlice)
    }

    /// Our core Services and EndpointSlices that expose a Service of this name in other namespaces.
    func exposures(ofServiceAt key: ObjectKey) -> [Child] {
        coreServices.store.list(Index.owner, "\(key)").map(Child.service)
            + slices.store.list(Index.owner, "\(key)").map(Child.endpointSlice)
    }

    /// Whether the cluster selects the pods of a Service by what it says now.
    func selection(of service: Service, at now: Timestamp) -> Selection {
        guard let selector = service.spec.selector else { return .unknown }
        let name = ChildName.endpointsService(of: service.metadata.name)
        let core = coreServices.store.get(
            ObjectKey(namespace: service.metadata.namespace, name: name)
        )
        let own = core?.metadata.controller?.uid == service.metadata.uid ? core : nil
        let selected = own?.metadata.uid.map { slices.store.list(Index.controller, $0) }
        return Selection(of: selector, core: own, slices: selected ?? [], at: now)
    }

    /// Whether some Service of a namespace has `hosts`.
    func hasHosts(in namespace: String) -> Bool { services.store.count(Index.hosts, namespace) > 0 }

    /// The addresses that lead to the gateways of a namespace's Site, its exposures elsewhere included, where some Service
    /// has `hosts`, which must not name them; nil where none has: nothing is told then that changes with every Service.
    ///
    /// A walk over all of them.
    func gatewayAddresses(of namespace: String) -> AddressList? {
        guard hasHosts(in: namespace) else { return nil }
        return AddressList(coreServices.store.collect(Index.gateways, namespace, \.addresses))
    }

    /// The disruption budgets of a namespace.
    func budgets(in namespace: String) -> [Policy.PodDisruptionBudget] {
        budgets.store.list(in: namespace)
    }

    /// The core Services that the object with this UID controls.
    func coreServices(controlledBy uid: String?) -> [Child] {
        guard let uid else { return [] }
        return coreServices.store.list(Index.controller, uid).map(Child.service)
    }
}

extension StoreIndex {
    fileprivate static var controller: Self {
        Self(World.Index.controller) { $0.metadata.controller.map { [$0.uid] } ?? [] }
    }

    fileprivate static var ownerUID: Self {
        Self(World.Index.ownerUID) { $0.metadata.labels[Names.ownerLabel].map { [$0] } ?? [] }
    }

    fileprivate static var owner: Self {
        Self(World.Index.owner) {
            $0.metadata.annotations[Names.ownerAnnotation].map { [$0] } ?? []
        }
    }
}

extension StoreIndex<Core.Service> {
    fileprivate static var gateways: Self {
        Self(World.Index.gateways) { $0.siteNamespace.map { [$0] } ?? [] }
    }
}

extension StoreIndex where Object: NetworkObject {
    fileprivate static var ready: Self {
        Self(World.Index.ready) { object in
            guard object.status.conditions.isTrue(ConditionType.ready.rawValue) else { return [] }
            return object.metadata.namespace.map { [$0] } ?? []
        }
    }
}

extension StoreIndex<AskingPod> {
    fileprivate static var lacking: Self {
        Self(World.Index.lacking) { pod in
            pod.lacking == nil ? [] : pod.metadata.namespace.map { [$0] } ?? []
        }
    }
}

extension StoreIndex<Service> {
    fileprivate static var address: Self {
        Self(World.Index.address) { service in
            service.address.map { ["\(service.metadata.namespace ?? "")/\($0)"] } ?? []
        }
    }

    fileprivate static var hosts: Self {
        Self(World.Index.hosts) { service in
            service.spec.hosts == nil ? [] : service.metadata.namespace.map { [$0] } ?? []
        }
    }

    fileprivate static var exposing: Self {
        Self(World.Index.exposing) { service in
            let holds = service.metadata.finalizers.contains(Names.exposureFinalizer)
            return holds || service.spec.listen?.namespaces != nil ? [""] : []
        }
    }
}

extension Core.Pod {
    /// Whether this is a running gateway of the Site: made by its Deployment, not merely labeled like one.
    func isGateway(of site: Site) -> Bool {
        isGateway && Names.gatewaySelector(site).allSatisfy { metadata.labels[$0.key] == $0.value }
    }

    /// Whether this is a running gateway of some Site.
    var isGateway: Bool {
        metadata.controller?.kind == "ReplicaSet"
            && metadata.controller?.name.hasPrefix("\(ChildName.proxy)-") == true
            && status.phase != "Failed" && status.phase != "Succeeded"
    }
}

extension Core.Service {
    /// Where clients reach it.
    var addresses: [String] {
        let all = spec.clusterIPs.isEmpty ? spec.clusterIP.map { [$0] } ?? [] : spec.clusterIPs
        return all.filter { !$0.isEmpty && $0 != "None" }
    }

    /// The namespace of the Site to whose gateways this core Service of ours leads.
    var siteNamespace: String? {
        if let owner = metadata.annotations[Names.ownerAnnotation] {
            return owner.split(separator: "/").first.map(String.init)
        }
        return metadata.controller == nil ? nil : metadata.namespace
    }
}
