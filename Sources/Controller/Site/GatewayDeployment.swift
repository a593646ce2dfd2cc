import KubernetesAPI
import NetworkAPI
import NetworkModel

/// What the controller is told at its start.
struct ControllerSettings: Equatable, Sendable {
    var proxyImage: String
    /// `IfNotPresent` and so on; nil: the cluster's default.
    var proxyPullPolicy: String?
    /// The namespace of the controller, its Lease and its ServiceAccount.
    var namespace: String
    var serviceAccount: String
    /// Whether the API server is told to ask for sidecars.
    var injects: Bool

    init(
        proxyImage: String,
        proxyPullPolicy: String? = nil,
        namespace: String = "tieline-system",
        serviceAccount: String = Names.controller,
        injects: Bool = false
    ) {
        self.proxyImage = proxyImage
        self.proxyPullPolicy = proxyPullPolicy
        self.namespace = namespace
        self.serviceAccount = serviceAccount
        self.injects = injects
    }
}

/// The Deployment of a Site's gateways.
enum GatewayDeployment {
    private static let configurationPath = "/etc/tieline/configuration"
    private static let credentialsPath = "/etc/tieline/credentials"
    private static let statePath = "/var/lib/tieline"

    /// Credentials are read by name: only a pod made anew goes from one identity to another as a whole.
    static func make(
        site: Site,
        siteID: SiteID? = nil,
        settings: ControllerSettings
    ) -> Apps.Deployment {
        let selector = Names.gatewaySelector(site)
        return Apps.Deployment {
            $0.metadata = ObjectMeta(child: ChildName.proxy, of: site, labels: selector)
            $0.spec.replicas = site.spec.proxy?.replicas ?? ProxySettings.standardReplicas
            $0.spec.selector = LabelSelector(matchLabels: selector)
            $0.spec.strategy = Apps.DeploymentStrategy {
                $0.type = "RollingUpdate"
                $0.rollingUpdate = Apps.RollingUpdate {
                    $0.maxUnavailable = .int(0)
                    $0.maxSurge = .int(1)
                }
            }
            // Ours win: by them the gateways are found.
            $0.spec.template.metadata.labels = (site.spec.proxy?.podLabels ?? [:])
                .merging(Names.childLabels) { _, new in new }.merging(selector) { _, new in new }
            $0.spec.template.metadata.annotations = site.spec.proxy?.podAnnotations ?? [:]
            if let siteID {
                $0.spec.template.metadata.annotations[Names.identityAnnotation] = siteID.text
            }
            $0.spec.template.spec = pod(site: site, settings: settings, selector: selector)
        }
    }

    private static func pod(
        site: Site,
        settings: ControllerSettings,
        selector: [String: String]
    ) -> Core.PodSpec {
        Core.PodSpec {
            $0.serviceAccountName = ChildName.proxy
            $0.automountServiceAccountToken = true
            $0.enableServiceLinks = false
            $0.terminationGracePeriodSeconds = gracePeriod(site.spec.drain)
            $0.securityContext = Core.PodSecurityContext {
                $0.runAsNonRoot = true
                $0.seccompProfile = Core.SeccompProfile()
            }
            let proxy = site.spec.proxy
            $0.nodeSelector = proxy?.nodeSelector ?? [:]
            $0.tolerations = proxy?.tolerations ?? []
            $0.affinity = proxy?.affinity
            $0.priorityClassName = proxy?.priorityClassName
            $0.imagePullSecrets = proxy?.imagePullSecrets ?? []
            let spread =
                proxy?.topologySpreadConstraints
                ?? [TopologySpread(topologyKey: "kubernetes.io/hostname")]
            $0.topologySpreadConstraints = spread.map { constraint($0, selector: selector) }
            $0.containers = [container(site: site, settings: settings)]
            $0.volumes = [
                secretVolume("configuration", ChildName.configurationSecret),
                secretVolume("credentials", ChildName.credentialsSecret),
                Core.Volume {
                    $0.name = "state"
                    $0.emptyDir = Core.EmptyDirVolumeSource(
                        medium: "Memory",
                        sizeLimit: Quantity("64Mi")
                    )
                },
            ]
        }
    }

    private static func constraint(
        _ spread: TopologySpread,
        selector: [String: String]
    ) -> Core.TopologySpreadConstraint {
        Core.TopologySpreadConstraint {
            $0.topologyKey = spread.topologyKey
            $0.maxSkew = spread.maxSkew ?? $0.maxSkew
            $0.whenUnsatisfiable = spread.whenUnsatisfiable ?? $0.whenUnsatisfiable
            $0.labelSelector = LabelSelector(matchLabels: selector)
            $0.minDomains = spread.minDomains
            $0.nodeAffinityPolicy = spread.nodeAffinityPolicy
            $0.nodeTaintsPolicy = spread.nodeTaintsPolicy
        }
    }

    private static func container(site: Site, settings: ControllerSettings) -> Core.Container {
        Core.Container {
            $0.name = "proxy"
            $0.image = settings.proxyImage
            $0.imagePullPolicy = settings.proxyPullPolicy
            $0.args = arguments(site)
            $0.env = [
                Core.EnvVar(name: "POD_NAME", fieldPath: "metadata.name"),
                Core.EnvVar(name: "POD_NAMESPACE", fieldPath: "metadata.namespace"),
                Core.EnvVar(name: "POD_IP", fieldPath: "status.podIP"),
            ]
            $0.ports = [
                Core.ContainerPort(name: "link", containerPort: Names.linkPort),
                Core.ContainerPort(name: "internal", containerPort: Names.internalPort),
                Core.ContainerPort(name: "admin", containerPort: Names.adminPort),
            ]
            $0.volumeMounts = [
                Core.VolumeMount(
                    name: "configuration",
                    mountPath: configurationPath,
                    readOnly: true
                ),
                Core.VolumeMount(name: "credentials", mountPath: credentialsPath, readOnly: true),
                Core.VolumeMount(name: "state", mountPath: statePath),
            ]
            let resources = site.spec.proxy?.resources
            $0.resources.limits = resources?.limits ?? [:]
            $0.resources.requests = requests(resources)
            $0.startupProbe = probe("/healthz", period: 1, failures: 60)
            $0.readinessProbe = probe("/readyz", period: 1, failures: 2)
            $0.livenessProbe = probe("/healthz", period: 10, failures: 3)
            $0.securityContext = Core.SecurityContext {
                $0.allowPrivilegeEscalation = false
                $0.readOnlyRootFilesystem = true
                $0.runAsNonRoot = true
                $0.capabilities = Core.Capabilities { $0.drop = ["ALL"] }
                $0.seccompProfile = Core.SeccompProfile()
            }
        }
    }

    /// What is set aside for a gateway at rest, where the Site says nothing of that resource.
    ///
    /// Without a request it would be the first to be evicted. No limits: they would cost connections where nobody wanted them.
    private static let standardRequests = ["cpu": Quantity("50m"), "memory": Quantity("64Mi")]

    private static func requests(_ resources: ComputeResources?) -> [String: Quantity] {
        // A limit alone is the request as well.
        let standard = standardRequests.filter { resources?.limits?[$0.key] == nil }
        return standard.merging(resources?.requests ?? [:]) { _, own in own }
    }

    private static func arguments(_ site: Site) -> [String] {
        var arguments = [
            "run", "--configuration", configurationPath, "--credentials", credentialsPath,
            "--state", statePath,
        ]
        // A process cannot change its number of loops, so a change rolls the gateways.
        if let loops = site.spec.proxy?.loops, loops > 0 { arguments += ["--loops", "\(loops)"] }
        return arguments
    }

    private static func probe(_ path: String, period: Int32, failures: Int32) -> Core.Probe {
        Core.Probe {
            $0.httpGet = Core.HTTPGetAction {
                $0.path = path
                $0.port = .string("admin")
            }
            $0.periodSeconds = period
            $0.timeoutSeconds = 2
            $0.failureThreshold = failures
        }
    }

    /// Optional, so that a pod starts, and says what it lacks, while the Secret is not there yet.
    private static func secretVolume(_ name: String, _ secret: String) -> Core.Volume {
        Core.Volume {
            $0.name = name
            $0.secret = Core.SecretVolumeSource {
                $0.secretName = secret
                $0.optional = true
            }
        }
    }

    /// The drain, and five seconds for what is left of the process.
    private static func gracePeriod(_ drain: DrainSettings?) -> Int64 {
        let delay = drain?.delay?.duration ?? .seconds(5)
        let grace = drain?.grace?.duration ?? .seconds(30)
        return delay.secondsRoundedUp + grace.secondsRoundedUp + 5
    }
}

extension Apps.Deployment {
    /// Why not every replica runs as the spec says, by the rules of `kubectl rollout status`; nil when each does, and while
    /// no Deployment controller has looked at it, for then no gateway serves either.
    var rolloutProblem: String? {
        guard let observed = status.observedGeneration else { return nil }
        let name = "the Deployment \(metadata.name)"
        func condition(_ type: String, _ value: String) -> Apps.DeploymentCondition? {
            status.conditions.first { $0.type == type && $0.status == value }
        }
        if let failure = condition("ReplicaFailure", "True") ?? condition("Progressing", "False") {
            let words = [failure.reason, failure.message].compactMap(\.self)
            return "\(name): \(words.joined(separator: ": "))"
        }
        guard observed >= metadata.generation ?? 0 else {
            return "\(name) has changed, and its rollout begins"
        }
        let wanted = spec.replicas ?? 1
        let updated = status.updatedReplicas ?? 0
        let available = status.availableReplicas ?? 0
        if updated < wanted { return "\(name): \(updated) of \(wanted) gateways are renewed" }
        if status.replicas ?? 0 > updated {
            return "\(name): \((status.replicas ?? 0) - updated) earlier gateways are still there"
        }
        if updated > wanted { return "\(name): \(updated - wanted) gateways too many are there" }
        if available < updated {
            return "\(name): \(available) of \(updated) gateways are available"
        }
        return nil
    }
}

extension Duration {
    fileprivate var secondsRoundedUp: Int64 {
        components.seconds + (components.attoseconds > 0 ? 1 : 0)
    }
}
