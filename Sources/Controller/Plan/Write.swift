import KubernetesAPI

/// One write to the API server, as a value.
enum Write: Equatable, Sendable {
    /// Server-side apply of an object that is ours, or that is not there.
    ///
    /// With a UID in the metadata it hits that very object or fails. Without one it is the first apply, which fails where there is
    /// an object of that name: one that is somebody else's stays as it is.
    case apply(Child)
    /// Sets the whole list of ports: an apply cannot take away what another manager added to it.
    case replacePorts(ObjectKey, uid: String, ports: [Core.ServicePort])
    /// Takes amounts out of a Deployment's containers, whoever put them there.
    case removeResources(ObjectKey, uid: String, [ContainerResources])
    case delete(Resource, ObjectKey, uid: String)
    /// Sets the finalizers of a Service of ours that has not changed since.
    case setFinalizers(ObjectKey, resourceVersion: String, [String])
}

extension Write {
    /// Whether a status tells of what is written: of gateways and core Services, not of what stands beside them.
    var isToldOf: Bool {
        switch self {
        case .apply(.serviceAccount), .apply(.roleBinding), .apply(.disruptionBudget): false
        default: true
        }
    }
}

extension Write {
    /// Whether it makes an object rather than changing or removing one.
    var makes: Bool {
        if case .apply(let child) = self { child.object.metadata.uid == nil } else { false }
    }
}

/// An object that the controller makes.
enum Child: Equatable, Sendable {
    case serviceAccount(Core.ServiceAccount)
    case roleBinding(RBAC.RoleBinding)
    case deployment(Apps.Deployment)
    case service(Core.Service)
    case endpointSlice(Discovery.EndpointSlice)
    case disruptionBudget(Policy.PodDisruptionBudget)

    var object: any KubernetesObject {
        switch self {
        case .serviceAccount(let object): object
        case .roleBinding(let object): object
        case .deployment(let object): object
        case .service(let object): object
        case .endpointSlice(let object): object
        case .disruptionBudget(let object): object
        }
    }

    var key: ObjectKey { object.metadata.key }

    /// The same child, to be applied to exactly the object with this UID.
    func pinned(to uid: String?) -> Child { changing { $0.uid = uid } }

    /// The same child with other metadata.
    func changing(_ change: (inout ObjectMeta) -> Void) -> Child {
        switch self {
        case .serviceAccount(var object):
            change(&object.metadata)
            return .serviceAccount(object)
        case .roleBinding(var object):
            change(&object.metadata)
            return .roleBinding(object)
        case .deployment(var object):
            change(&object.metadata)
            return .deployment(object)
        case .service(var object):
            change(&object.metadata)
            return .service(object)
        case .endpointSlice(var object):
            change(&object.metadata)
            return .endpointSlice(object)
        case .disruptionBudget(var object):
            change(&object.metadata)
            return .disruptionBudget(object)
        }
    }
}

/// What has to be done about one child, decided from what is there.
enum ChildDecision: Equatable, Sendable {
    /// It is there as it should be.
    case keep
    case write([Write])
    /// What has the name is about to go; look again soon, or remove what an owner that is gone has left.
    case wait(message: String, Leftover?)
    /// Somebody else's object has the name; `message` names it.
    case conflict(message: String)
}

extension Leftover {
    init?(_ child: Child, of owner: EarlierOwner?) {
        self.init(type(of: child.object).resource, child.object.metadata, of: owner)
    }

    /// Nil when there is no such owner.
    init?(_ resource: Resource, _ metadata: ObjectMeta, of owner: EarlierOwner?) {
        guard let owner, let uid = metadata.uid else { return nil }
        self.init(resource: resource, key: metadata.key, uid: uid, owner: owner)
    }
}

extension Child {
    /// Compares the wanted child with what is there under its kind and name.
    func decide(observed: Child?, isThere: OwnerCheck = { _ in true }) -> ChildDecision {
        let marked = marked
        guard let observed else { return .write([.apply(marked)]) }
        let found = observed.object.metadata
        switch Ownership(
            of: found,
            kind: type(of: object).resource.kind,
            wanted: object.metadata,
            isMarked: found.annotations[Names.appliedAnnotation] != nil,
            isThere: isThere
        ) {
        case .ours: break
        case .leaving(let message, let owner):
            return .wait(message: message, Leftover(observed, of: owner))
        case .foreign(let message): return .conflict(message: message)
        }
        guard let uid = found.uid else { return .keep }
        var writes: [Write] = []
        if case .service(let service) = self, case .service(let other) = observed,
            !other.spec.ports.hasOnly(service.spec.ports)
        {
            // First: beside a port of the same name, an apply would be refused.
            writes.append(.replacePorts(service.key, uid: uid, ports: service.spec.ports))
        }
        if case .deployment(let deployment) = self, case .deployment(let other) = observed {
            let extra = deployment.resourcesBeside(in: other)
            if !extra.isEmpty { writes.append(.removeResources(key, uid: uid, extra)) }
        }
        if !writes.isEmpty || !marked.isSatisfied(by: observed) {
            writes.append(.apply(marked.pinned(to: uid)))
        }
        return writes.isEmpty ? .keep : .write(writes)
    }
}

/// Amounts that a container asks for or is limited to, by name.
struct ContainerResources: Equatable, Sendable {
    var container: String
    var requests: [String] = []
    var limits: [String] = []
}

extension Apps.Deployment {
    /// What the containers of `found` ask for beside what they have here.
    fileprivate func resourcesBeside(in found: Apps.Deployment) -> [ContainerResources] {
        spec.template.spec.containers.compactMap { wanted in
            guard
                let other = found.spec.template.spec.containers.first(where: {
                    $0.name == wanted.name
                })
            else { return nil }
            var extra = ContainerResources(container: wanted.name)
            extra.requests = other.resources.requests.keys.filter {
                wanted.resources.requests[$0] == nil
                    // The server sets a request that is not given to the limit.
                    && wanted.resources.limits[$0] == nil
            }.sorted()
            extra.limits = other.resources.limits.keys.filter {
                wanted.resources.limits[$0] == nil
            }.sorted()
            return extra.requests.isEmpty && extra.limits.isEmpty ? nil : extra
        }
    }
}

extension [Core.ServicePort] {
    /// Whether there is no port beside `wanted`.
    fileprivate func hasOnly(_ wanted: [Core.ServicePort]) -> Bool {
        allSatisfy { port in
            wanted.contains { $0.port == port.port && $0.name == port.name }
        }
    }
}
