import DevnodeCore
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkModel

/// The collections that the node and its controllers follow.
struct Informers: Sendable {
    let pods: Informer<Core.Pod>
    let workloads: Informer<Workload>
    let revisions: Informer<Revision>
    let services: Informer<Core.Service>
    let slices: Informer<Discovery.EndpointSlice>
    let secrets: Informer<Core.Secret>
    let configMaps: Informer<Core.ConfigMap>
    let namespaces: Informer<Core.Namespace>
    let jobs: Informer<Job>

    init(client: KubernetesClient, logger: Logger) {
        var logger = logger
        // That the API server is away is said once by what fails for it, not by each of nine watches.
        if logger.logLevel > .debug { logger.logLevel = .error }
        var settings = ReflectorSettings()
        // One client of a server on the same machine: back as soon as it is.
        settings.backoff = Backoff(base: .milliseconds(100), maximum: .milliseconds(500))
        settings.absence = settings.backoff
        pods = Informer(client: client, settings: settings, logger: logger)
        workloads = Informer(client: client, settings: settings, logger: logger)
        revisions = Informer(client: client, settings: settings, logger: logger)
        services = Informer(client: client, settings: settings, logger: logger)
        slices = Informer(
            client: client,
            settings: settings,
            indexes: [EndpointReconciler.slicesByService],
            logger: logger
        )
        secrets = Informer(client: client, settings: settings, logger: logger)
        configMaps = Informer(client: client, settings: settings, logger: logger)
        namespaces = Informer(client: client, settings: settings, logger: logger)
        jobs = Informer(client: client, settings: settings, logger: logger)
    }

    var references: References {
        References(
            secret: { [store = secrets.store] in store.get($0) },
            configMap: { [store = configMaps.store] in store.get($0) }
        )
    }

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await pods.run() }
            group.addTask { await workloads.run() }
            group.addTask { await revisions.run() }
            group.addTask { await services.run() }
            group.addTask { await slices.run() }
            group.addTask { await secrets.run() }
            group.addTask { await configMaps.run() }
            group.addTask { await namespaces.run() }
            group.addTask { await jobs.run() }
        }
    }

    func waitUntilSynced() async {
        _ = await pods.waitUntilSynced()
        _ = await workloads.waitUntilSynced()
        _ = await revisions.waitUntilSynced()
        _ = await services.waitUntilSynced()
        _ = await slices.waitUntilSynced()
        _ = await secrets.waitUntilSynced()
        _ = await configMaps.waitUntilSynced()
        _ = await namespaces.waitUntilSynced()
        _ = await jobs.waitUntilSynced()
    }

    private enum PodEvent: Sendable {
        case pod(Change<Core.Pod>)
        case object(namespace: String?)
    }

    /// Tells the kubelet of pods and of what they refer to, in order.
    func feed(_ kubelet: Kubelet) async {
        let (events, input) = AsyncStream<PodEvent>.makeStream()
        // Objects first: a pod that is there already finds its Secrets in the store.
        _ = await secrets.waitUntilSynced()
        _ = await configMaps.waitUntilSynced()
        secrets.addHandler { input.yield(.object(namespace: $0.key.namespace)) }
        configMaps.addHandler { input.yield(.object(namespace: $0.key.namespace)) }
        pods.addHandler { input.yield(.pod($0)) }
        for await event in events {
            switch event {
            case .object(let namespace):
                await kubelet.objectsChanged(in: namespace)
            case .pod(.added(let pod)):
                await kubelet.set(pod)
            case .pod(.updated(let old, let new)):
                if old.metadata.uid != new.metadata.uid { await kubelet.remove(old) }
                await kubelet.set(new)
            case .pod(.deleted(let pod)):
                await kubelet.remove(pod)
            }
        }
    }

    /// Tells the node's rules and DNS that something changed.
    func feed(_ network: ServiceNetwork) async {
        let (events, input) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        services.addHandler { _ in input.yield() }
        slices.addHandler { _ in input.yield() }
        namespaces.addHandler { _ in input.yield() }
        for await _ in events { await network.changed() }
    }
}
