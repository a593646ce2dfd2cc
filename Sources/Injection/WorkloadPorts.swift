import KubernetesAPI

/// The ports that the containers of a Pod say they listen on.
///
/// A server that listens on every address cannot share a port with a listener on the loopback network, so what is served here
/// is not listened for. Told are the ports of containers and those that probes and hooks ask.
struct WorkloadPorts {
    private(set) var numbers: Set<Int64> = []

    init(_ spec: JSONValue) {
        for container in spec["containers"]?.array ?? [] { add(container) }
        for container in spec["initContainers"]?.array ?? [] { add(container) }
    }

    private mutating func add(_ container: JSONValue) {
        for port in container["ports"]?.array ?? [] where (port["protocol"] ?? "TCP") == "TCP" {
            if let number = port["containerPort"]?.integer { numbers.insert(number) }
        }
        let lifecycle = container["lifecycle"]
        for handler in [
            container["livenessProbe"], container["readinessProbe"], container["startupProbe"],
            lifecycle?["postStart"], lifecycle?["preStop"],
        ] {
            for kind in ["httpGet", "tcpSocket", "grpc"] {
                if let number = handler?[kind]?["port"]?.integer { numbers.insert(number) }
            }
        }
    }
}
