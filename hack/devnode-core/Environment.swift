package import KubernetesAPI

/// Why a container cannot be started yet; retried when objects change.
package struct ConfigurationProblem: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Looks up what a pod refers to.
package struct References: Sendable {
    package var secret: @Sendable (ObjectKey) -> Core.Secret?
    package var configMap: @Sendable (ObjectKey) -> Core.ConfigMap?

    package init(
        secret: @escaping @Sendable (ObjectKey) -> Core.Secret?,
        configMap: @escaping @Sendable (ObjectKey) -> Core.ConfigMap?
    ) {
        self.secret = secret
        self.configMap = configMap
    }
}

extension Core.Container {
    /// The environment of a container: what `env` and `envFrom` say over `defaults`, references resolved.
    package func environment(
        in pod: Core.Pod,
        defaults: [String: String],
        references: References
    ) throws(ConfigurationProblem) -> [String: String] {
        var values = defaults
        for source in envFrom {
            for (key, value) in try contents(of: source, in: pod, references: references) {
                values[(source.prefix ?? "") + key] = value
            }
        }
        for variable in env {
            if let source = variable.valueFrom {
                values[variable.name] = try value(of: source, in: pod, references: references)
            } else {
                values[variable.name] = expand(variable.value ?? "", with: values)
            }
        }
        return values
    }

    private func contents(
        of source: Core.EnvFromSource,
        in pod: Core.Pod,
        references: References
    ) throws(ConfigurationProblem) -> [String: String] {
        let namespace = pod.metadata.namespace
        if let reference = source.secretRef {
            let key = ObjectKey(namespace: namespace, name: reference.name)
            if let secret = references.secret(key) {
                return secret.data.mapValues { String(decoding: $0, as: UTF8.self) }
            }
            guard reference.optional == true else {
                throw ConfigurationProblem("secret \"\(reference.name)\" not found")
            }
        }
        if let reference = source.configMapRef {
            let key = ObjectKey(namespace: namespace, name: reference.name)
            if let map = references.configMap(key) { return map.data }
            guard reference.optional == true else {
                throw ConfigurationProblem("configmap \"\(reference.name)\" not found")
            }
        }
        return [:]
    }

    private func value(
        of source: Core.EnvVarSource,
        in pod: Core.Pod,
        references: References
    ) throws(ConfigurationProblem) -> String? {
        if let field = source.fieldRef {
            guard let value = pod.field(field.fieldPath) else {
                throw ConfigurationProblem("unsupported fieldPath \"\(field.fieldPath)\"")
            }
            return value
        }
        if let selector = source.secretKeyRef {
            let key = ObjectKey(namespace: pod.metadata.namespace, name: selector.name)
            let data = references.secret(key)?.data[selector.key]
            return try found(
                data.map { String(decoding: $0, as: UTF8.self) },
                "secret",
                selector
            )
        }
        if let selector = source.configMapKeyRef {
            let key = ObjectKey(namespace: pod.metadata.namespace, name: selector.name)
            return try found(
                references.configMap(key)?.data[selector.key],
                "configmap",
                selector
            )
        }
        if let resource = source.resourceFieldRef {
            let parts = resource.resource.split(separator: ".", maxSplits: 1).map(String.init)
            let amounts = parts.first == "requests" ? resources.requests : resources.limits
            return parts.last.flatMap { amounts[$0]?.description } ?? "0"
        }
        return nil
    }

    private func found(
        _ value: String?,
        _ kind: String,
        _ selector: Core.KeySelector
    ) throws(ConfigurationProblem) -> String? {
        if value == nil, selector.optional != true {
            throw ConfigurationProblem(
                "\(kind) \"\(selector.name)\" has no key \"\(selector.key)\""
            )
        }
        return value
    }
}

extension Core.Pod {
    /// A field that the downward API offers; nil for one that it does not.
    package func field(_ path: String) -> String? {
        switch path {
        case "metadata.name": return metadata.name
        case "metadata.namespace": return metadata.namespace ?? ""
        case "metadata.uid": return metadata.uid ?? ""
        case "spec.nodeName": return spec.nodeName ?? ""
        case "spec.serviceAccountName": return spec.serviceAccountName ?? "default"
        case "status.podIP": return status.podIP ?? ""
        case "status.podIPs": return status.addresses.joined(separator: ",")
        case "status.hostIP": return status.hostIP ?? ""
        case "status.hostIPs": return status.hostIPs.map(\.ip).joined(separator: ",")
        case "metadata.labels": return lines(metadata.labels)
        case "metadata.annotations": return lines(metadata.annotations)
        default:
            return entry(path, "metadata.labels", metadata.labels)
                ?? entry(path, "metadata.annotations", metadata.annotations)
        }
    }

    private func lines(_ map: [String: String]) -> String {
        map.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }
            .joined(separator: "\n")
    }

    /// `metadata.labels['key']`; an absent key is empty.
    private func entry(_ path: String, _ prefix: String, _ map: [String: String]) -> String? {
        guard path.hasPrefix(prefix + "['"), path.hasSuffix("']") else { return nil }
        return map[String(path.dropFirst(prefix.count + 2).dropLast(2))] ?? ""
    }
}

/// Replaces `$(NAME)` by variables that are set; `$$` is a dollar; anything else stays as it is.
package func expand(_ text: String, with variables: [String: String]) -> String {
    var result = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
        result += rest[..<dollar]
        rest = rest[rest.index(after: dollar)...]
        if rest.first == "$" {
            result += "$"
            rest = rest.dropFirst()
        } else if rest.first == "(", let end = rest.firstIndex(of: ")"),
            let value = variables[String(rest[rest.index(after: rest.startIndex)..<end])]
        {
            result += value
            rest = rest[rest.index(after: end)...]
        } else {
            result += "$"
        }
    }
    return result + rest
}
