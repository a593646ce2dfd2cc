package import KubernetesAPI

/// As whom a container runs, and what it may do: what its pod asks for, over what its image says.
package struct Privileges: Equatable, Sendable {
    package var user: Int64
    package var group: Int64
    package var groups: [Int64]
    /// With the prefix `CAP_`, in the order of their names.
    package var capabilities: [String]
    package var isRootReadOnly: Bool
    package var mayGainPrivileges: Bool
    package var hasSeccomp: Bool

    /// What container engines leave to a container that does not say otherwise.
    private static let usual: Set = [
        "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
        "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID",
        "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    ]

    /// A container that must not run as root and would is a `ConfigurationProblem`.
    package init(
        of container: Core.Container,
        in pod: Core.Pod,
        image: Image
    ) throws(ConfigurationProblem) {
        let (own, shared) = (container.securityContext, pod.spec.securityContext)
        user = own?.runAsUser ?? shared?.runAsUser ?? image.user
        // As engines do: the group of the image belongs to its user.
        group = shared?.runAsGroup ?? (user == image.user ? image.group : 0)
        groups = shared?.fsGroup.map { [$0] } ?? []
        if own?.runAsNonRoot ?? shared?.runAsNonRoot ?? false, user == 0 {
            throw ConfigurationProblem("container has runAsNonRoot and would run as root")
        }
        let change = own?.capabilities ?? Core.Capabilities()
        var left = Self.names(change.drop).contains("CAP_ALL") ? [] : Self.usual
        left.subtract(Self.names(change.drop))
        left.formUnion(Self.names(change.add))
        capabilities = left.sorted()
        isRootReadOnly = own?.readOnlyRootFilesystem ?? false
        mayGainPrivileges = own?.allowPrivilegeEscalation ?? true
        let profile = own?.seccompProfile ?? shared?.seccompProfile
        hasSeccomp = profile?.type == "RuntimeDefault"
    }

    private static func names(_ capabilities: [String]) -> [String] {
        capabilities.map { $0.hasPrefix("CAP_") ? $0 : "CAP_\($0)" }
    }
}
