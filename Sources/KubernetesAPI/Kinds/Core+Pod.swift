/// The core group.
package enum Core {}

extension Core {
    package struct Pod: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "Pod",
            plural: "pods"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = PodSpec()
        @OmitEmpty package var status = PodStatus()
        package init() {}
    }

    package struct PodTemplateSpec: Schema {
        @OmitEmpty package var metadata = ObjectMeta()
        package var spec = PodSpec()
        package init() {}
    }

    package struct PodSpec: Schema {
        package var containers: [Container] = []
        /// A container with `restartPolicy` Always is a native sidecar.
        @OmitEmpty package var initContainers: [Container] = []
        @OmitEmpty package var volumes: [Volume] = []
        package var restartPolicy: String?
        package var terminationGracePeriodSeconds: Int64?
        package var serviceAccountName: String?
        package var automountServiceAccountToken: Bool?
        package var nodeName: String?
        @OmitEmpty package var nodeSelector: [String: String] = [:]
        package var hostNetwork: Bool?
        package var hostname: String?
        package var subdomain: String?
        @OmitEmpty package var hostAliases: [HostAlias] = []
        package var securityContext: PodSecurityContext?
        package var priorityClassName: String?
        package var enableServiceLinks: Bool?
        @OmitEmpty package var topologySpreadConstraints: [TopologySpreadConstraint] = []
        @OmitEmpty package var tolerations: [Toleration] = []
        /// As it is written: nobody here looks into it.
        package var affinity: JSONValue?
        @OmitEmpty package var imagePullSecrets: [LocalObjectReference] = []
        package init() {}
    }

    /// A line of the file in which a pod's programs look for addresses first.
    package struct HostAlias: Schema {
        package var ip = ""
        @OmitEmpty package var hostnames: [String] = []
        package init() {}
    }

    package struct TopologySpreadConstraint: Schema {
        package var maxSkew: Int32 = 1
        package var topologyKey = ""
        package var whenUnsatisfiable = "ScheduleAnyway"
        package var labelSelector: LabelSelector?
        package var minDomains: Int32?
        package var nodeAffinityPolicy: String?
        package var nodeTaintsPolicy: String?
        package init() {}
    }

    /// A taint of nodes that a pod may run on all the same.
    package struct Toleration: Schema, Hashable {
        package var key: String?
        package var `operator`: String?
        package var value: String?
        package var effect: String?
        package var tolerationSeconds: Int64?

        package enum CodingKeys: String, CodingKey, CaseIterable {
            case key, `operator`, value, effect, tolerationSeconds
        }

        package init() {}
    }

    /// The name of an object in the same namespace.
    package struct LocalObjectReference: Schema, Hashable {
        package var name = ""

        package enum CodingKeys: String, CodingKey, CaseIterable { case name }

        package init() {}
    }

    package struct PodSecurityContext: Schema {
        package var runAsNonRoot: Bool?
        package var runAsUser: Int64?
        package var runAsGroup: Int64?
        package var fsGroup: Int64?
        package var seccompProfile: SeccompProfile?
        @OmitEmpty package var sysctls: [Sysctl] = []
        package init() {}
    }

    /// A variable of the kernel, in the namespaces of a pod.
    package struct Sysctl: Schema {
        package var name = ""
        package var value = ""
        package init() {}
    }

    package struct SeccompProfile: Schema {
        package var type = "RuntimeDefault"
        package init() {}
    }

    package struct SecurityContext: Schema {
        package var allowPrivilegeEscalation: Bool?
        package var readOnlyRootFilesystem: Bool?
        package var runAsNonRoot: Bool?
        package var runAsUser: Int64?
        package var capabilities: Capabilities?
        package var seccompProfile: SeccompProfile?
        package init() {}
    }

    package struct Capabilities: Schema {
        @OmitEmpty package var add: [String] = []
        @OmitEmpty package var drop: [String] = []
        package init() {}
    }
}
