import KubernetesAPI
import NetworkAPI

/// What is the same in all sidecars of a namespace.
package struct SidecarSettings: Equatable, Sendable {
    /// That of the Site, and of the Pod.
    package var namespace: String
    package var image: String
    /// Nil: the cluster's default.
    package var pullPolicy: String?

    package init(namespace: String, image: String, pullPolicy: String? = nil) {
        self.namespace = namespace
        self.image = image
        self.pullPolicy = pullPolicy
    }
}

/// The parts that make a sidecar in a Pod.
enum SidecarTemplate {
    static let adminPort: Int64 = 5673
    private static let internalPort = 5672
    private static let credentials = "/etc/tieline/credentials"

    /// Where Services of a namespace have their names; with another domain, the longest form leads to the gateways.
    private static let clusterDomain = "cluster.local"

    /// Its restart policy makes it a sidecar for Kubernetes (1.29 and later): it starts before the workload, which waits until its
    /// startup probe has succeeded, and ends after it.
    ///
    /// No readiness probe: whether the workload can serve is its own matter.
    static func container(
        listeners: [String],
        asOtherUser: Bool,
        _ settings: SidecarSettings
    ) -> JSONValue {
        var security: [String: JSONValue] = [
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": ["drop": ["ALL"]],
            "seccompProfile": ["type": "RuntimeDefault"],
        ]
        // The Pod says root, which the sidecar never is.
        if asOtherUser { security["runAsUser"] = 65532 }
        let arguments =
            [
                "run", "--sidecar", "--ends-last", "--loops=1", "--credentials=\(credentials)",
                "--gateways=\(ChildName.proxy).\(settings.namespace).svc:\(internalPort)",
            ] + listeners.map { "--listen=\($0)" }
        var container: [String: JSONValue] = [
            "name": .string(InjectionName.sidecar),
            "image": .string(settings.image),
            "restartPolicy": "Always",
            "args": .array(arguments.map(JSONValue.string)),
            "ports": [["name": "tieline-admin", "containerPort": .integer(adminPort)]],
            "startupProbe": probe("/readyz", period: 1, failures: 300),
            "livenessProbe": probe("/healthz", period: 10, failures: 3),
            "resources": [
                "requests": ["cpu": "10m", "memory": "24Mi"], "limits": ["memory": "128Mi"],
            ],
            "volumeMounts": [
                [
                    "name": .string(InjectionName.volume), "mountPath": .string(credentials),
                    "readOnly": true,
                ]
            ],
            "securityContext": .object(security),
        ]
        if let policy = settings.pullPolicy { container["imagePullPolicy"] = .string(policy) }
        return .object(container)
    }

    private static func probe(_ path: String, period: Int64, failures: Int64) -> JSONValue {
        [
            "httpGet": ["path": .string(path), "port": "tieline-admin"],
            "periodSeconds": .integer(period),
            "timeoutSeconds": 2,
            "failureThreshold": .integer(failures),
        ]
    }

    static let volume: JSONValue = [
        "name": .string(InjectionName.volume),
        "secret": ["secretName": .string(ChildName.sidecarSecret)],
    ]

    static func alias(_ address: String, host: String, namespace: String) -> JSONValue {
        let names = [
            host, "\(host).\(namespace)", "\(host).\(namespace).svc",
            "\(host).\(namespace).svc.\(clusterDomain)",
        ]
        return ["ip": .string(address), "hostnames": .array(names.map(JSONValue.string))]
    }
}
