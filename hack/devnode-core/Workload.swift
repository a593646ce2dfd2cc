package import KubernetesAPI

/// A Deployment whose template is passed on as it is, whatever fields it has.
package struct Workload: KubernetesObject, Schema {
    package static let resource = Apps.Deployment.resource

    package var metadata = ObjectMeta()
    package var spec = Spec()
    @OmitEmpty package var status = Apps.DeploymentStatus()

    package init() {}

    package struct Spec: Schema {
        package var replicas: Int32?
        package var selector = LabelSelector()
        package var template: JSONValue = .object([:])
        package var strategy: Apps.DeploymentStrategy?

        package init() {}
    }
}

/// One revision of a `Workload`.
package struct Revision: KubernetesObject, Schema {
    package static let resource = Apps.ReplicaSet.resource
    package static let hashLabel = "pod-template-hash"
    package static let revisionAnnotation = "deployment.kubernetes.io/revision"

    package var metadata = ObjectMeta()
    package var spec = Spec()
    @OmitEmpty package var status = Apps.ReplicaSetStatus()

    package init() {}

    package struct Spec: Schema {
        package var replicas: Int32?
        package var selector = LabelSelector()
        package var template: JSONValue = .object([:])

        package init() {}
    }

    /// The hash of the template that all its pods carry.
    package var hash: String { metadata.labels[Self.hashLabel] ?? "" }

    package var number: Int { Int(metadata.annotations[Self.revisionAnnotation] ?? "") ?? 0 }
}

/// A pod as it is created from a template: the fields of the spec are not looked at.
package struct PodFromTemplate: KubernetesObject, Schema {
    package static let resource = Core.Pod.resource

    package var metadata = ObjectMeta()
    package var spec: JSONValue = .object([:])

    package init() {}

    /// The caller makes `name` unique.
    package init(
        _ template: JSONValue,
        of owner: some KubernetesObject,
        name: String,
        node: String
    ) {
        let told = template["metadata"]?.object ?? [:]
        var spec = template["spec"]?.object ?? [:]
        // Bound at birth: there is one node, and a pod without a node would get no grace on deletion.
        spec["nodeName"] = .string(node)
        self.spec = .object(spec)
        metadata = ObjectMeta(
            name: name,
            namespace: owner.metadata.namespace,
            labels: strings(told["labels"]),
            annotations: strings(told["annotations"]),
            ownerReferences: OwnerReference(controlledBy: owner).map { [$0] } ?? []
        )
    }
}

extension Workload {
    /// A short hash of the template, stable over restarts and the order of its members.
    package var templateHash: String { stableHash(spec.template.canonical, characters: 10) }

    /// The ReplicaSet for the present template.
    package func revision(number: Int) -> Revision {
        let hash = templateHash
        var revision = Revision()
        var template = spec.template.object ?? [:]
        var templateMetadata = template["metadata"]?.object ?? [:]
        var labels = strings(templateMetadata["labels"])
        labels[Revision.hashLabel] = hash
        templateMetadata["labels"] = .object(labels.mapValues(JSONValue.string))
        template["metadata"] = .object(templateMetadata)
        revision.metadata = ObjectMeta(
            name: "\(metadata.name)-\(hash)",
            namespace: metadata.namespace,
            labels: labels,
            annotations: [Revision.revisionAnnotation: String(number)],
            ownerReferences: OwnerReference(controlledBy: self).map { [$0] } ?? []
        )
        revision.spec.replicas = 0
        revision.spec.selector = spec.selector
        revision.spec.selector.matchLabels[Revision.hashLabel] = hash
        revision.spec.template = .object(template)
        return revision
    }
}

private func strings(_ value: JSONValue?) -> [String: String] {
    (value?.object ?? [:]).compactMapValues(\.string)
}

extension JSONValue {
    /// One text for equal values: members in the order of their names.
    var canonical: String {
        switch self {
        case .null: "null"
        case .bool(let value): String(value)
        case .integer(let value): String(value)
        case .number(let value): String(value)
        case .string(let value): "\(value.utf8.count):\(value)"
        case .array(let values): "[" + values.map(\.canonical).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.sorted { $0.key < $1.key }
                .map { "\($0.key.utf8.count):\($0.key)=\($0.value.canonical)" }
                .joined(separator: ",") + "}"
        }
    }
}

/// FNV-1a in the alphabet that Kubernetes uses for name suffixes (no vowels: no words).
package func stableHash(_ text: String, characters: Int) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return suffix(hash, characters: characters)
}

/// The low digits of a number as a name suffix; at most 13 characters carry information.
package func suffix(_ number: UInt64, characters: Int) -> String {
    let alphabet = Array("bcdfghjklmnpqrstvwxz2456789")
    var number = number
    var text = ""
    for _ in 0..<characters {
        text.append(alphabet[Int(number % UInt64(alphabet.count))])
        number /= UInt64(alphabet.count)
    }
    return text
}
