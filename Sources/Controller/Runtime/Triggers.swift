import KubernetesAPI
import KubernetesRuntime
import NetworkAPI

/// Which keys a change in the cluster puts into which queue.
///
/// Handlers only add keys; what is to be done is decided from the present state when a key's turn comes.
struct Triggers: Sendable {
    let shared: Shared
    /// Told of each gateway pod, once.
    let gateways: AsyncStream<SiteRegistry.GatewayKey>.Continuation

    func install() {
        followObjects(shared.world)
        followUndecodable(shared.world)
        followChildren(shared.world)
        shared.world.pods.addHandler { change in take(pod: change) }
        shared.world.askingPods.addHandler { change in take(asking: change) }
        shared.world.namespaces.addHandler { change in take(namespace: change) }
    }

    private func followObjects(_ world: World) {
        world.sites.addHandler { change in
            if case .deleted(let site) = change { shared.statuses.forget(site) }
            add(site: change.key.namespace)
            // A Site that comes or goes changes what all others of the namespace say.
            if case .updated(let old, let new) = change, old.metadata.uid == new.metadata.uid {
                return
            }
            addDependents(of: change.key.namespace)
        }
        world.links.addHandler { change in
            if case .deleted(let link) = change { shared.statuses.forget(link) }
            shared.queues.links.add(change.key)
            if change.concernsConfiguration { note(link: change.key) }
            if change.concernsSite { addSoon(site: change.key.namespace) }
        }
        world.services.addHandler { change in
            if case .deleted(let service) = change { shared.statuses.forget(service) }
            shared.queues.services.add(change.key)
            if change.concernsConfiguration { note(service: change.key) }
            if change.concernsSite { addSoon(site: change.key.namespace) }
        }
    }

    private func followUndecodable(_ world: World) {
        world.sites.addUndecodableHandler { key in
            add(site: key.namespace)
            addDependents(of: key.namespace)
        }
        world.links.addUndecodableHandler { key in
            shared.queues.links.add(key)
            note(link: key)
            add(site: key.namespace)
        }
        world.services.addUndecodableHandler { key in
            shared.queues.services.add(key)
            note(service: key)
            add(site: key.namespace)
        }
    }

    private func followChildren(_ world: World) {
        world.deployments.addHandler { change in
            forget(change)
            if change.hasNewMeaning { add(site: change.key.namespace) }
        }
        world.coreServices.addHandler { change in
            forget(change)
            addOwner(of: change.object)
            // What gateways must not take for servers.
            if change.hasOtherAddresses, let namespace = change.object.siteNamespace {
                shared.compilations.noteAddresses(in: namespace)
                if world.hasHosts(in: namespace) { addSoon(site: namespace) }
            }
        }
        world.slices.addHandler { change in
            forget(change)
            if change.object.isExposure {
                addOwner(of: change.object)
            } else if change.hasOtherSelector {
                addSelecting(change.object)
            }
        }
        world.accounts.addHandler { change in
            forget(change)
            addOwner(of: change.object)
        }
        world.bindings.addHandler { change in
            forget(change)
            addOwner(of: change.object)
        }
        world.budgets.addHandler { change in
            forget(change)
            // Somebody else's may be for the gateways too.
            if change.hasNewMeaning { add(site: change.key.namespace) }
        }
    }

    private func add(site namespace: String?) {
        if let namespace { shared.queues.sites.add(namespace) }
    }

    /// Objects that come together are compiled together: a thousand of them do not make a thousand configurations.
    private func addSoon(site namespace: String?) {
        if let namespace { shared.queues.sites.add(namespace, after: Self.gathering) }
    }

    private static let gathering: Duration = .milliseconds(30)

    private func note(service key: ObjectKey) {
        shared.compilations.noteService(key.name, in: key.namespace ?? "")
    }

    private func note(link key: ObjectKey) {
        shared.compilations.noteLinks(in: key.namespace ?? "")
    }

    private func addDependents(of namespace: String?) {
        guard let namespace else { return }
        shared.enqueueDependents(of: namespace)
    }

    private func take(asking change: KubernetesRuntime.Change<AskingPod>) {
        if case .updated(let old, let new) = change, old.lacking == new.lacking { return }
        addSoon(site: change.key.namespace)
        if case .deleted = change { return }
        let lack = LackOfSidecar(
            admission: PodAdmission(world: shared.world, settings: shared.settings),
            isServed: shared.settings.injects
        )
        if let event = lack.event(of: change.object) { shared.writer.record(event) }
    }

    private func take(pod change: KubernetesRuntime.Change<Core.Pod>) {
        let pod = change.object
        add(site: pod.metadata.namespace)
        if let uid = pod.metadata.uid {
            let key = SiteRegistry.GatewayKey(pod: pod.key, uid: uid)
            switch change {
            case .added: gateways.yield(key)
            case .updated(let old, _) where old.metadata.uid != uid: gateways.yield(key)
            case .updated, .deleted: break
            }
        }
        // Readiness and addresses of gateways are in mirrored EndpointSlices and in every status.
        if change.hasNewMeaning { addDependents(of: pod.metadata.namespace) }
    }

    private func take(namespace change: KubernetesRuntime.Change<Core.Namespace>) {
        add(site: change.key.name)
        for service in shared.world.services.store.list(World.Index.exposing, "") {
            shared.queues.services.add(service.key)
        }
    }

    /// The Service whose pods are in an EndpointSlice of the cluster's own.
    private func addSelecting(_ slice: Discovery.EndpointSlice) {
        let name = slice.metadata.labels[Discovery.EndpointSlice.serviceNameLabel] ?? ""
        let key = ObjectKey(namespace: slice.metadata.namespace, name: name)
        if let core = shared.world.coreServices.store.get(key) { addOwner(of: core) }
    }

    private func forget<Object>(_ change: KubernetesRuntime.Change<Object>) {
        if case .deleted(let child) = change { shared.settled.forget(child) }
    }

    /// A child that changed is looked at by its owner.
    private func addOwner(of child: some KubernetesObject) {
        let metadata = child.metadata
        if let owner = metadata.annotations[Names.ownerAnnotation] {
            let parts = owner.split(separator: "/")
            guard parts.count == 2 else { return }
            shared.queues.services.add(
                ObjectKey(namespace: String(parts[0]), name: String(parts[1]))
            )
        } else if let owner = metadata.controller {
            switch owner.kind {
            case Site.resource.kind: add(site: metadata.namespace)
            case Service.resource.kind:
                shared.queues.services.add(
                    ObjectKey(namespace: metadata.namespace, name: owner.name)
                )
            default: break
            }
        }
    }
}

extension KubernetesRuntime.Change where Object: NetworkObject {
    /// Whether the object's part of the Site's configuration may be another.
    var concernsConfiguration: Bool {
        guard case .updated(let old, let new) = self else { return true }
        return old.metadata.uid != new.metadata.uid
            || old.metadata.generation != new.metadata.generation
            || old.metadata.isTerminating != new.metadata.isTerminating
    }

    /// Whether the Site's configuration or its counts of objects may be others: not for a mere change of counters.
    var concernsSite: Bool {
        guard case .updated(let old, let new) = self, !concernsConfiguration else { return true }
        let ready = ConditionType.ready.rawValue
        return old.status.conditions.isTrue(ready) != new.status.conditions.isTrue(ready)
    }
}

extension Discovery.EndpointSlice {
    /// Whether we made it, in another namespace; the others are the cluster's, for core Services of ours.
    fileprivate var isExposure: Bool { metadata.annotations[Names.ownerAnnotation] != nil }
}

extension KubernetesRuntime.Change where Object == Discovery.EndpointSlice {
    /// Which pods are ready is the gateways' to tell; by which selector they are chosen is not.
    fileprivate var hasOtherSelector: Bool {
        guard case .updated(let old, let new) = self else { return true }
        let label = Names.selectorLabel
        return old.metadata.labels[label] != new.metadata.labels[label]
    }
}

extension KubernetesRuntime.Change where Object == Core.Service {
    var hasOtherAddresses: Bool {
        guard case .updated(let old, let new) = self else { return true }
        return old.addresses != new.addresses || old.siteNamespace != new.siteNamespace
    }
}

extension KubernetesRuntime.Change where Object == Apps.Deployment {
    var hasNewMeaning: Bool {
        guard case .updated(let old, let new) = self else { return true }
        return old.metadata != new.metadata || old.spec != new.spec
    }
}

extension KubernetesRuntime.Change where Object == Policy.PodDisruptionBudget {
    /// Not when its status alone is another: that counts pods.
    var hasNewMeaning: Bool {
        guard case .updated(let old, let new) = self else { return true }
        return old.metadata.uid != new.metadata.uid || old.spec != new.spec
            || old.metadata.annotations != new.metadata.annotations
            || old.metadata.ownerReferences != new.metadata.ownerReferences
            || old.metadata.isTerminating != new.metadata.isTerminating
    }
}

extension KubernetesRuntime.Change where Object == Core.Pod {
    var hasNewMeaning: Bool {
        guard case .updated(let old, let new) = self else { return true }
        return old.status.isReady != new.status.isReady
            || old.status.addresses != new.status.addresses
            || old.metadata.isTerminating != new.metadata.isTerminating
            || old.status.phase != new.status.phase || old.metadata.labels != new.metadata.labels
    }
}
