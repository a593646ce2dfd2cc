package import KubernetesAPI

/// The EndpointSlices that a Service should have.
package enum EndpointPlan {
    package static let manager = "endpointslice-controller.k8s.io"
    /// The API server takes at most this many endpoints in one slice.
    static let sliceLimit = 1000

    /// The slices for a Service with a selector; nil when the Service is none of this controller's business.
    ///
    /// Names follow from the Service and the ports alone, so that the same state gives the same slices.
    package static func slices(
        for service: Core.Service,
        pods: [Core.Pod]
    ) -> [Discovery.EndpointSlice]? {
        guard !service.spec.selector.isEmpty, service.spec.type != "ExternalName" else {
            return nil
        }
        let families = [ClusterFamily.ipv4, .ipv6].filter { family in
            service.spec.ipFamilies.isEmpty
                ? family == .ipv4 : service.spec.ipFamilies.contains(family.name)
        }
        return families.flatMap { slices(for: service, pods: pods, family: $0) }
    }

    private static func slices(
        for service: Core.Service,
        pods: [Core.Pod],
        family: ClusterFamily
    ) -> [Discovery.EndpointSlice] {
        let selector = LabelSelector(matchLabels: service.spec.selector)
        let publishAll = service.spec.publishNotReadyAddresses == true
        var groups: [[Discovery.EndpointPort]: [Discovery.Endpoint]] = [:]
        for pod in pods.sorted(by: { $0.key < $1.key }) where selector.matches(pod.metadata.labels)
        {
            guard !pod.hasEnded, let address = pod.status.addresses.first(where: family.has)
            else { continue }
            let ports = service.spec.ports.compactMap { port in resolved(port, in: pod) }
            groups[ports, default: []].append(
                endpoint(pod, address: address, publishAll: publishAll)
            )
        }
        // A Service without pods keeps one empty slice, as upstream does.
        if groups.isEmpty { groups[[]] = [] }
        let mark = family == .ipv4 ? "" : family.name
        return groups.sorted { label(of: $0.key) < label(of: $1.key) }.flatMap { ports, endpoints in
            stride(from: 0, to: max(1, endpoints.count), by: sliceLimit).map { start in
                let part = Array(endpoints.dropFirst(start).prefix(sliceLimit))
                var slice = slice(
                    of: service,
                    name: "\(label(of: ports))#\(start / sliceLimit)\(mark)",
                    ports: ports,
                    endpoints: part
                )
                slice.addressType = family.name
                return slice
            }
        }
    }

    private static func slice(
        of service: Core.Service,
        name: String,
        ports: [Discovery.EndpointPort],
        endpoints: [Discovery.Endpoint]
    ) -> Discovery.EndpointSlice {
        Discovery.EndpointSlice { slice in
            let suffix = stableHash(name, characters: 5)
            var labels = service.metadata.labels
            labels[Discovery.EndpointSlice.serviceNameLabel] = service.metadata.name
            labels[Discovery.EndpointSlice.managedByLabel] = manager
            if service.spec.isHeadless { labels["service.kubernetes.io/headless"] = "" }
            slice.metadata = ObjectMeta(
                name: "\(service.metadata.name)-\(suffix)",
                namespace: service.metadata.namespace,
                labels: labels,
                ownerReferences: OwnerReference(controlledBy: service).map { [$0] } ?? []
            )
            slice.ports = ports
            slice.endpoints = endpoints
        }
    }

    private static func label(of ports: [Discovery.EndpointPort]) -> String {
        ports.map { "\($0.name ?? ""):\($0.port ?? 0)/\($0.protocol ?? "TCP")" }
            .joined(separator: ",")
    }

    private static func endpoint(
        _ pod: Core.Pod,
        address: String,
        publishAll: Bool
    ) -> Discovery.Endpoint {
        let terminating = pod.metadata.isTerminating
        let serving = pod.status.isReady
        return Discovery.Endpoint {
            $0.addresses = [address]
            $0.conditions.ready = publishAll || (serving && !terminating)
            $0.conditions.serving = serving
            $0.conditions.terminating = terminating
            $0.nodeName = pod.spec.nodeName
            $0.targetRef = ObjectReference {
                $0.kind = "Pod"
                $0.namespace = pod.metadata.namespace
                $0.name = pod.metadata.name
                $0.uid = pod.metadata.uid
            }
        }
    }

    /// The port of the pod behind a Service port; nil when no container has a port of that name.
    private static func resolved(
        _ port: Core.ServicePort,
        in pod: Core.Pod
    ) -> Discovery.EndpointPort? {
        let transport = port.protocol ?? "TCP"
        let number: Int32
        switch port.targetPort {
        case nil, .int(0): number = port.port
        case .int(let target): number = target
        case .string(let name):
            guard let named = pod.containerPort(named: name, transport: transport) else {
                return nil
            }
            number = named
        }
        return Discovery.EndpointPort {
            $0.name = port.name ?? ""
            $0.port = number
            $0.protocol = transport
        }
    }
}

extension Discovery.EndpointPort: Hashable {
    package func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(port)
    }
}

extension Core.Pod {
    /// All containers have ended for good.
    package var hasEnded: Bool { status.phase == "Succeeded" || status.phase == "Failed" }

    /// The containers and the native sidecars.
    package var longRunning: [Core.Container] {
        spec.initContainers.filter(\.isSidecar) + spec.containers
    }

    package func containerPort(named name: String, transport: String) -> Int32? {
        longRunning.lazy.flatMap(\.ports)
            .first { $0.name == name && ($0.protocol ?? "TCP") == transport }?.containerPort
    }
}

extension Core.Container {
    /// An init container that goes on running beside the others.
    package var isSidecar: Bool { restartPolicy == "Always" }
}
