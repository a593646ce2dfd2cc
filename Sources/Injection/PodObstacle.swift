import KubernetesAPI

/// What keeps a Pod from having a sidecar.
enum PodObstacle {
    static func check(_ spec: JSONValue) throws(InjectionProblem) {
        for list in ["initContainers", "volumes", "hostAliases"] {
            guard let value = spec[list], value != .null, value.array == nil else { continue }
            throw InjectionProblem("its spec.\(list) is not a list")
        }
        for (isThere, reason) in obstacles(spec) where isThere {
            throw InjectionProblem(reason)
        }
    }

    private static func obstacles(_ spec: JSONValue) -> [(Bool, String)] {
        let containers =
            (spec["containers"]?.array ?? []) + (spec["initContainers"]?.array ?? [])
        let system = spec["os"]?["name"]?.string
        let selected = spec["nodeSelector"]?["kubernetes.io/os"]?.string
        return [
            (
                spec["containers"]?.array?.isEmpty ?? true,
                "it has no containers: this is not a Pod"
            ),
            (
                spec["hostNetwork"]?.bool == true,
                "it is in the network of its node (hostNetwork), where a port of its own is everybody's; "
                    + "let it reach the core Service instead"
            ),
            (
                [system, selected].contains("windows"),
                "it is a Windows Pod, and the sidecar is a Linux program; let it reach the core Service instead"
            ),
            (
                spec["dnsPolicy"]?.string == "Default" || spec["dnsPolicy"]?.string == "None",
                "its dnsPolicy is \(spec["dnsPolicy"]?.string ?? ""), by which the names of gateways are not found; set ClusterFirst"
            ),
            (
                containers.contains { $0["name"]?.string == InjectionName.sidecar },
                "it has a container \"\(InjectionName.sidecar)\" that was not injected; "
                    + "rename that, or set the label \(InjectionName.label): \(InjectionName.disabled)"
            ),
            (
                (spec["volumes"]?.array ?? []).contains {
                    $0["name"]?.string == InjectionName.volume
                },
                "it has a volume \"\(InjectionName.volume)\" of its own; rename that"
            ),
            (
                WorkloadPorts(spec).numbers.contains(SidecarTemplate.adminPort),
                "a container listens on port \(SidecarTemplate.adminPort), which the sidecar needs for its probes; choose another one"
            ),
        ]
    }
}
