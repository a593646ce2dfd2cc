import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI

/// Everything of the cluster that the controller follows, as last seen.
struct World: Sendable {
    let sites: Informer<Site>
    let links: Informer<Link>
    let services: Informer<Service>
    let namespaces: Informer<Core.Namespace>
    /// Those that we made.
    let coreServices: Informer<Core.Service>
    let deployments: Informer<Apps.Deployment>
    let slices: Informer<Discovery.EndpointSlice>
    /// The gateways.
    let pods: Informer<Core.Pod>

    init(client: KubernetesClient, logger: Logger) {
        let ours = Scope(labelSelector: "\(Names.managedByLabel)=\(Names.managedBy)")
        sites = Informer(client: client, logger: logger)
        links = Informer(client: client, logger: logger)
        services = Informer(client: client, logger: logger)
        namespaces = Informer(client: client, logger: logger)
        coreServices = Informer(client: client, scope: ours, logger: logger)
        deployments = Informer(client: client, scope: ours, logger: logger)
        slices = Informer(client: client, scope: ours, logger: logger)
        pods = Informer(
            client: client,
            scope: Scope(labelSelector: "\(Names.nameLabel)=\(ChildName.proxy)"),
            logger: logger
        )
    }

    /// Follows the server until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await sites.run() }
            group.addTask { await links.run() }
            group.addTask { await services.run() }
            group.addTask { await namespaces.run() }
            group.addTask { await coreServices.run() }
            group.addTask { await deployments.run() }
            group.addTask { await slices.run() }
            group.addTask { await pods.run() }
        }
    }

    /// The kinds of which no whole list was taken in yet; absence in the other stores means absence in the cluster.
    var unread: [String] {
        func name<Object: KubernetesObject>(_ informer: Informer<Object>) -> String? {
            informer.hasSynced ? nil : Object.resource.plural
        }
        return [
            name(sites), name(links), name(services), name(namespaces), name(coreServices),
            name(deployments), name(slices), name(pods),
        ].compactMap(\.self)
    }

    /// Waits until every store has taken in a whole list; false when the task was cancelled before.
    func waitUntilSynced() async -> Bool {
        guard await sites.waitUntilSynced(), await links.waitUntilSynced(),
            await services.waitUntilSynced(), await namespaces.waitUntilSynced(),
            await coreServices.waitUntilSynced(), await deployments.waitUntilSynced(),
            await slices.waitUntilSynced(), await pods.waitUntilSynced()
        else { return false }
        return true
    }

    /// The gateway pods of a Site, in the order of their names.
    func gatewayPods(of site: Site) -> [Core.Pod] {
        pods.store.list(in: site.metadata.namespace ?? "").filter { $0.isGateway(of: site) }
    }

    /// Our core Services and EndpointSlices that expose the Service with this UID in other namespaces.
    func exposures(of uid: String) -> [Child] {
        coreServices.store.list().filter { $0.metadata.labels[Names.ownerLabel] == uid }
            .map(Child.service)
            + slices.store.list().filter { $0.metadata.labels[Names.ownerLabel] == uid }
            .map(Child.endpointSlice)
    }
}

extension Core.Pod {
    /// Whether this is a running gateway of the Site: made by its Deployment, not merely labelled like one.
    func isGateway(of site: Site) -> Bool {
        Names.gatewaySelector(site).allSatisfy { metadata.labels[$0.key] == $0.value }
            && metadata.controller?.kind == "ReplicaSet"
            && metadata.controller?.name.hasPrefix("\(ChildName.proxy)-") == true
            && status.phase != "Failed" && status.phase != "Succeeded"
    }
}
