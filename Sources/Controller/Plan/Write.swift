import KubernetesAPI

/// One write to the API server, as a value.
enum Write: Equatable, Sendable {
    /// Server-side apply of an object that is ours, or that is not there.
    ///
    /// With a UID in the metadata it hits that very object or fails. Without one it is the first apply: it does not
    /// force, so that an object that somebody else made at the same moment stays as it is.
    case apply(Child)
    /// Sets the whole list of ports: an apply cannot take away what another manager added to it.
    case replacePorts(ObjectKey, uid: String, ports: [Core.ServicePort])
    case delete(Resource, ObjectKey, uid: String)
    /// Sets the finalizers of a Service of ours that has not changed since.
    case setFinalizers(ObjectKey, resourceVersion: String, [String])
}

/// An object that the controller makes.
enum Child: Equatable, Sendable {
    case serviceAccount(Core.ServiceAccount)
    case roleBinding(RBAC.RoleBinding)
    case deployment(Apps.Deployment)
    case service(Core.Service)
    case endpointSlice(Discovery.EndpointSlice)

    var object: any KubernetesObject {
        switch self {
        case .serviceAccount(let object): object
        case .roleBinding(let object): object
        case .deployment(let object): object
        case .service(let object): object
        case .endpointSlice(let object): object
        }
    }

    var key: ObjectKey { object.metadata.key }

    /// The same child, to be applied to exactly the object with this UID.
    func pinned(to uid: String?) -> Child {
        switch self {
        case .serviceAccount(var object):
            object.metadata.uid = uid
            return .serviceAccount(object)
        case .roleBinding(var object):
            object.metadata.uid = uid
            return .roleBinding(object)
        case .deployment(var object):
            object.metadata.uid = uid
            return .deployment(object)
        case .service(var object):
            object.metadata.uid = uid
            return .service(object)
        case .endpointSlice(var object):
            object.metadata.uid = uid
            return .endpointSlice(object)
        }
    }
}

/// What has to be done about one child, decided from what is there.
enum ChildDecision: Equatable, Sendable {
    /// It is there as it should be.
    case keep
    case write([Write])
    /// Somebody else's object has the name; `message` names it.
    case conflict(message: String)
}

extension Child {
    /// Compares the wanted child with what is there under its kind and name.
    func decide(observed: Child?) -> ChildDecision {
        guard let observed else { return .write([.apply(self)]) }
        let wanted = object.metadata
        let found = observed.object.metadata
        guard found.isManaged, owner(of: found) == owner(of: wanted) else {
            return .conflict(message: conflictMessage(found))
        }
        // What is going away is made anew once it is gone.
        if found.isTerminating { return .keep }
        guard let uid = found.uid else { return .keep }
        if case .service(let service) = self, case .service(let other) = observed,
            !other.spec.ports.hasOnly(service.spec.ports)
        {
            // First: beside a port of the same name, an apply would be refused.
            return .write([
                .replacePorts(service.key, uid: uid, ports: service.spec.ports),
                .apply(pinned(to: uid)),
            ])
        }
        return isSatisfied(by: observed) ? .keep : .write([.apply(pinned(to: uid))])
    }

    /// Whose child it is: the controlling owner's UID, or the label's in another namespace.
    private func owner(of metadata: ObjectMeta) -> String? {
        metadata.controller?.uid ?? metadata.labels[Names.ownerLabel]
    }

    private func conflictMessage(_ found: ObjectMeta) -> String {
        let kind = type(of: object).resource.kind
        let what = "the \(kind) \(found.name) in namespace \(found.namespace ?? "")"
        guard found.isManaged, let owner = found.controller else {
            return "\(what) was not made by Tieline and is left alone; delete or rename it"
        }
        return "\(what) belongs to the \(owner.kind) \(owner.name); choose another name"
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
