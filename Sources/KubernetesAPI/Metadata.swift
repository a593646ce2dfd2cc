package import NetworkModel

/// The name of an object within its kind.
package struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Nil for objects of the whole cluster.
    package let namespace: String?
    package let name: String

    package init(namespace: String? = nil, name: String) {
        self.namespace = namespace
        self.name = name
    }

    package var description: String { namespace.map { "\($0)/\(name)" } ?? name }

    package static func < (left: Self, right: Self) -> Bool {
        (left.namespace ?? "", left.name) < (right.namespace ?? "", right.name)
    }
}

/// What every object says about itself.
package struct ObjectMeta: Schema {
    @OmitEmpty package var name: String = ""
    package var generateName: String?
    package var namespace: String?
    package var uid: String?
    package var resourceVersion: String?
    package var generation: Int64?
    package var creationTimestamp: Timestamp?
    package var deletionTimestamp: Timestamp?
    package var deletionGracePeriodSeconds: Int64?
    @OmitEmpty package var labels: [String: String] = [:]
    @OmitEmpty package var annotations: [String: String] = [:]
    @OmitEmpty package var ownerReferences: [OwnerReference] = []
    @OmitEmpty package var finalizers: [String] = []

    package init() {}

    package init(
        name: String,
        namespace: String? = nil,
        labels: [String: String] = [:],
        annotations: [String: String] = [:],
        ownerReferences: [OwnerReference] = []
    ) {
        self.name = name
        self.namespace = namespace
        self.labels = labels
        self.annotations = annotations
        self.ownerReferences = ownerReferences
    }

    package var key: ObjectKey { ObjectKey(namespace: namespace, name: name) }

    /// Deletion was asked for; finalizers or a grace period still hold the object.
    package var isTerminating: Bool { deletionTimestamp != nil }

    /// The owner that manages this object, if one does.
    package var controller: OwnerReference? { ownerReferences.first { $0.controller == true } }
}

/// A pointer to the object whose deletion takes this one along.
package struct OwnerReference: Schema {
    package var apiVersion = ""
    package var kind = ""
    package var name = ""
    package var uid = ""
    package var controller: Bool?
    package var blockOwnerDeletion: Bool?

    package init() {}

    package init(
        apiVersion: String,
        kind: String,
        name: String,
        uid: String,
        controller: Bool? = nil,
        blockOwnerDeletion: Bool? = nil
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
        self.controller = controller
        self.blockOwnerDeletion = blockOwnerDeletion
    }

    /// Makes `owner` the managing controller; nil while it has no UID (was never stored).
    package init?(controlledBy owner: some KubernetesObject) {
        guard let uid = owner.metadata.uid else { return nil }
        let resource = type(of: owner).resource
        self.init(
            apiVersion: resource.apiVersion,
            kind: resource.kind,
            name: owner.metadata.name,
            uid: uid,
            controller: true,
            blockOwnerDeletion: true
        )
    }
}

/// A pointer to an object, as Events carry it.
package struct ObjectReference: Schema, Hashable {
    package var apiVersion: String?
    package var kind: String?
    package var namespace: String?
    package var name: String?
    package var uid: String?
    package var resourceVersion: String?
    package var fieldPath: String?

    package init() {}

    package init(to object: some KubernetesObject) {
        let resource = type(of: object).resource
        apiVersion = resource.apiVersion
        kind = resource.kind
        namespace = object.metadata.namespace
        name = object.metadata.name
        uid = object.metadata.uid
        resourceVersion = object.metadata.resourceVersion
    }
}
