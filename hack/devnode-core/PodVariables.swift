package import KubernetesAPI

/// The variables of the kernel that a pod may set for its network without asking anybody.
package enum PodVariables {
    package static let areSafe: Set<String> = [
        "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    ]

    /// As paths below /proc/sys/net.
    package static func paths(_ variables: [Core.Sysctl]) -> [(name: String, value: String)] {
        variables.map { variable in
            (
                String(variable.name.dropFirst("net.".count)).replacing(".", with: "/"),
                variable.value
            )
        }
    }
}
