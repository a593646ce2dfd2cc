import DevnodeCore
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkModel

/// The controllers that a cluster cannot do without, and what wakes them.
struct Controllers: Sendable {
    private let informers: Informers
    private let client: KubernetesClient
    private let logger: Logger
    private let assumed = AssumedPods()
    private let deployments: WorkQueue<ObjectKey>
    private let endpoints: WorkQueue<ObjectKey>
    private let balancers: WorkQueue<ObjectKey>
    private let namespaces: WorkQueue<ObjectKey>
    private let jobs: WorkQueue<ObjectKey>

    init(informers: Informers, client: KubernetesClient, logger: Logger) {
        self.informers = informers
        self.client = client
        self.logger = logger
        // One client of a server on the same machine; after an outage everything is soon back.
        let backoff = Backoff(base: .milliseconds(5), maximum: .seconds(1))
        deployments = WorkQueue(backoff: backoff)
        endpoints = WorkQueue(backoff: backoff)
        balancers = WorkQueue(backoff: backoff)
        namespaces = WorkQueue(backoff: backoff)
        jobs = WorkQueue(backoff: backoff)
    }

    /// Lets changes of objects queue the keys of those that depend on them.
    func connect() {
        let (deployments, endpoints) = (deployments, endpoints)
        let (balancers, namespaces, jobs) = (balancers, namespaces, jobs)
        let (revisions, services) = (informers.revisions.store, informers.services.store)
        let assumed = assumed
        informers.jobs.addHandler { jobs.add($0.key) }
        informers.workloads.addHandler { deployments.add($0.key) }
        informers.revisions.addHandler { change in
            if let owner = change.object.metadata.controller, owner.kind == "Deployment" {
                deployments.add(ObjectKey(namespace: change.key.namespace, name: owner.name))
            }
        }
        informers.pods.addHandler { change in
            assumed.saw(change)
            let namespace = change.key.namespace
            if let owner = change.object.metadata.controller, owner.kind == "ReplicaSet",
                let revision = revisions.get(ObjectKey(namespace: namespace, name: owner.name)),
                let name = revision.metadata.controller?.name
            {
                deployments.add(ObjectKey(namespace: namespace, name: name))
            }
            if let owner = change.object.metadata.controller, owner.kind == "Job" {
                jobs.add(ObjectKey(namespace: namespace, name: owner.name))
            }
            for service in services.list(in: namespace ?? "") {
                if service.selects(change) { endpoints.add(service.key) }
            }
        }
        informers.services.addHandler { change in
            endpoints.add(change.key)
            balancers.add(change.key)
        }
        informers.slices.addHandler { change in
            if let key = change.object.serviceKey { endpoints.add(key) }
        }
        informers.namespaces.addHandler { namespaces.add($0.key) }
        informers.configMaps.addHandler { change in
            guard case .deleted = change, change.key.name == NamespaceReconciler.authorityName,
                let namespace = change.key.namespace
            else { return }
            namespaces.add(ObjectKey(name: namespace))
        }
    }

    func run(authority: String) async {
        // Absence in a store means nothing before the first list.
        await informers.waitUntilSynced()
        let deployments = DeploymentReconciler(
            client: client,
            workloads: informers.workloads.store,
            revisions: informers.revisions.store,
            pods: informers.pods.store,
            assumed: assumed
        )
        let endpoints = EndpointReconciler(
            client: client,
            services: informers.services.store,
            slices: informers.slices.store,
            pods: informers.pods.store
        )
        let balancers = LoadBalancerReconciler(
            client: client,
            services: informers.services.store
        )
        let namespaces = NamespaceReconciler(
            client: client,
            namespaces: informers.namespaces.store,
            authority: authority
        )
        let jobs = JobReconciler(
            client: client,
            jobs: informers.jobs.store,
            pods: informers.pods.store
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await loop("jobs", self.jobs, jobs) }
            group.addTask { await loop("deployments", self.deployments, deployments) }
            group.addTask { await loop("endpoints", self.endpoints, endpoints) }
            group.addTask { await loop("balancers", self.balancers, balancers) }
            group.addTask { await loop("namespaces", self.namespaces, namespaces) }
        }
    }

    private func loop<Work: Reconciler>(
        _ name: String,
        _ queue: WorkQueue<ObjectKey>,
        _ reconciler: Work
    ) async where Work.Key == ObjectKey {
        await ControllerLoop(
            name: name,
            queue: queue,
            reconciler: reconciler,
            logger: logger
        ).run()
    }
}

extension Core.Service {
    /// Whether a change of a pod can change the endpoints.
    fileprivate func selects(_ change: Change<Core.Pod>) -> Bool {
        guard !spec.selector.isEmpty else { return false }
        let selector = LabelSelector(matchLabels: spec.selector)
        switch change {
        case .added(let pod), .deleted(let pod):
            return selector.matches(pod.metadata.labels)
        case .updated(let old, let new):
            return selector.matches(old.metadata.labels) || selector.matches(new.metadata.labels)
        }
    }
}
