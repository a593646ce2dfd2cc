package import FoundationEssentials
package import KubernetesAPI

/// The files of a volume that follows objects of the API.
package struct VolumeFiles: Equatable, Sendable {
    /// Bytes by relative path.
    package var files: [String: Data] = [:]
    /// Tokens that belong at a path and are asked from the API server.
    package var tokens: [Core.ServiceAccountTokenProjection] = []

    package init() {}

    /// Reads what a volume projects; nil for a volume that follows no object (emptyDir, hostPath).
    package init?(
        of volume: Core.Volume,
        in pod: Core.Pod,
        references: References
    ) throws(ConfigurationProblem) {
        if let source = volume.secret {
            try add(
                Core.SecretProjection {
                    $0.name = source.secretName
                    $0.items = source.items
                    $0.optional = source.optional
                },
                pod,
                references
            )
        } else if let source = volume.configMap {
            try add(source, pod, references)
        } else if let source = volume.downwardAPI {
            try add(source, pod)
        } else if let source = volume.projected {
            for projection in source.sources {
                if let token = projection.serviceAccountToken { tokens.append(token) }
                if let secret = projection.secret { try add(secret, pod, references) }
                if let map = projection.configMap { try add(map, pod, references) }
                if let fields = projection.downwardAPI { try add(fields, pod) }
            }
        } else {
            return nil
        }
    }

    private mutating func add(
        _ source: Core.SecretProjection,
        _ pod: Core.Pod,
        _ references: References
    ) throws(ConfigurationProblem) {
        let name = source.name ?? ""
        let key = ObjectKey(namespace: pod.metadata.namespace, name: name)
        guard let secret = references.secret(key) else {
            if source.optional == true { return }
            throw ConfigurationProblem("secret \"\(name)\" not found")
        }
        try add(secret.data, source.items, optional: source.optional, "secret \"\(name)\"")
    }

    private mutating func add(
        _ source: Core.ConfigMapVolumeSource,
        _ pod: Core.Pod,
        _ references: References
    ) throws(ConfigurationProblem) {
        let name = source.name ?? ""
        let key = ObjectKey(namespace: pod.metadata.namespace, name: name)
        guard let map = references.configMap(key) else {
            if source.optional == true { return }
            throw ConfigurationProblem("configmap \"\(name)\" not found")
        }
        var data = map.binaryData
        for (key, text) in map.data { data[key] = Data(text.utf8) }
        try add(data, source.items, optional: source.optional, "configmap \"\(name)\"")
    }

    private mutating func add(
        _ source: Core.DownwardAPIVolumeSource,
        _ pod: Core.Pod
    ) throws(ConfigurationProblem) {
        for item in source.items {
            guard let path = item.fieldRef?.fieldPath, let value = pod.field(path) else {
                throw ConfigurationProblem("unsupported field for \"\(item.path)\"")
            }
            files[item.path] = Data(value.utf8)
        }
    }

    private mutating func add(
        _ data: [String: Data],
        _ items: [Core.KeyToPath],
        optional: Bool?,
        _ origin: String
    ) throws(ConfigurationProblem) {
        guard !items.isEmpty else {
            files.merge(data) { _, new in new }
            return
        }
        for item in items {
            if let bytes = data[item.key] {
                files[item.path] = bytes
            } else if optional != true {
                throw ConfigurationProblem("\(origin) has no key \"\(item.key)\"")
            }
        }
    }
}

extension Core.Pod {
    /// The volume that every pod gets unless it opts out: token, CA and namespace.
    package static let tokenVolumeName = "kube-api-access"
    package static let tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// The pod with the token volume mounted into each container that has nothing there yet.
    package func withTokenVolume() -> Core.Pod {
        var pod = self
        pod.spec.volumes.append(
            Core.Volume { volume in
                volume.name = Self.tokenVolumeName
                volume.projected = Core.ProjectedVolumeSource { projected in
                    projected.sources = Self.tokenSources
                }
            }
        )
        func mount(_ container: inout Core.Container) {
            guard !container.volumeMounts.contains(where: { $0.mountPath == Self.tokenMountPath })
            else { return }
            container.volumeMounts.append(
                Core.VolumeMount(
                    name: Self.tokenVolumeName,
                    mountPath: Self.tokenMountPath,
                    readOnly: true
                )
            )
        }
        for index in pod.spec.containers.indices { mount(&pod.spec.containers[index]) }
        for index in pod.spec.initContainers.indices { mount(&pod.spec.initContainers[index]) }
        return pod
    }

    private static var tokenSources: [Core.VolumeProjection] {
        [
            Core.VolumeProjection {
                $0.serviceAccountToken = Core.ServiceAccountTokenProjection {
                    $0.path = "token"
                    $0.expirationSeconds = 3607
                }
            },
            Core.VolumeProjection {
                $0.configMap = Core.ConfigMapVolumeSource {
                    $0.name = "kube-root-ca.crt"
                    $0.items = [
                        Core.KeyToPath {
                            $0.key = "ca.crt"
                            $0.path = "ca.crt"
                        }
                    ]
                }
            },
            Core.VolumeProjection {
                $0.downwardAPI = Core.DownwardAPIVolumeSource {
                    $0.items = [
                        Core.DownwardAPIVolumeFile {
                            $0.path = "namespace"
                            $0.fieldRef = Core.ObjectFieldSelector("metadata.namespace")
                        }
                    ]
                }
            },
        ]
    }
}
