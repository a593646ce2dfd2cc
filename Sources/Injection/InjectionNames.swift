/// The words by which Pods and the injection speak to each other.
package enum InjectionName {
    /// On a Pod: `enabled` asks for a sidecar, `disabled` wants none.
    package static let label = "tieline.dev/inject"
    package static let enabled = "enabled"
    package static let disabled = "disabled"
    /// On a Pod: the services that it uses, as `ServiceChoice` reads them.
    package static let servicesAnnotation = "tieline.dev/services"
    /// On a Pod with an injected sidecar: what it listens for.
    static let injectedAnnotation = "tieline.dev/injected"
    /// Beside it: the value of the sysctl that was set for ports below 1024.
    static let portsAnnotation = "tieline.dev/injected-port-start"

    /// The container, and the volume.
    package static let sidecar = "tieline"
    static let volume = "tieline-sidecar"
    /// The lowest port that a process without rights may listen on.
    static let portStart = "net.ipv4.ip_unprivileged_port_start"
}
