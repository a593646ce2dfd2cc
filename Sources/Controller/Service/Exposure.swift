import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// A Service made reachable from other namespaces, where they consent.
///
/// A core Service cannot select pods of another namespace, so it has no selector there, and its EndpointSlices are
/// mirrored from the gateways.
enum Exposure {
    /// The namespaces in which `service` is to be exposed, sorted.
    ///
    /// Both must agree: the Service selects the namespace, and the namespace names the Service's own namespace in
    /// `tieline.dev/allow-from`.
    static func namespaces(
        of service: Service,
        among namespaces: [Core.Namespace]
    ) -> [String] {
        guard let selector = service.spec.listen?.namespaces, !service.metadata.isTerminating else {
            return []
        }
        return namespaces.filter { namespace in
            namespace.metadata.name != service.metadata.namespace
                && !namespace.metadata.isTerminating
                && selector.matches(namespace.metadata.labels)
                && namespace.metadata.labels[Names.consentLabel] == service.metadata.namespace
        }.map(\.metadata.name).sorted()
    }

    /// What stays as it is of what was exposed before, though it cannot be said how it should be.
    ///
    /// A Service without a configuration (`isUsable` is false: it was refused, or its Site's Secrets cannot be read) keeps
    /// its addresses in namespaces that still consent; namespaces that do not decode keep theirs.
    static func kept(
        _ there: [Child],
        of service: Service,
        isUsable: Bool,
        among namespaces: [Core.Namespace],
        unreadable: Set<String>
    ) -> [Child] {
        guard service.spec.listen?.namespaces != nil, !service.metadata.isTerminating else {
            return []
        }
        let consenting =
            isUsable ? [] : Set(Self.namespaces(of: service, among: namespaces))
        let kept = consenting.union(unreadable)
        return there.filter { kept.contains($0.key.namespace ?? "") }
    }

    /// What waits for another Site of what was exposed before, where namespaces still consent: `stays` as it is, with its
    /// address; `mirrors` leads to those gateways only that are still there, for other pods may get addresses of the others.
    static func awaitingSite(
        _ there: [Child],
        of service: Service,
        among namespaces: [Core.Namespace],
        unreadable: Set<String>,
        gateways: [GatewayView]
    ) -> (stays: [Child], mirrors: [Child]) {
        let stays = kept(
            there,
            of: service,
            isUsable: false,
            among: namespaces,
            unreadable: unreadable
        )
        let mirrors = stays.compactMap { child -> Child? in
            guard case .endpointSlice(let slice) = child, !slice.metadata.isTerminating,
                let name = slice.metadata.labels[Discovery.EndpointSlice.serviceNameLabel],
                let namespace = slice.metadata.namespace
            else { return nil }
            return mirror(
                name,
                of: service,
                in: namespace,
                family: slice.addressType,
                endpoints: endpoints(gateways, family: slice.addressType),
                ports: slice.ports
            )
        }
        return (stays, mirrors)
    }

    /// What `service` needs in one other namespace.
    static func children(
        of service: Service,
        in namespace: String,
        configuration: ServiceConfiguration,
        gateways: [GatewayView]
    ) -> [Child] {
        guard let ports = ServiceChildren.listeningPorts(configuration) else { return [] }
        let name = service.listenServiceName
        var children: [Child] = [
            .service(
                Core.Service {
                    $0.metadata = metadata(name, service: service, namespace: namespace)
                    $0.spec.type = "ClusterIP"
                    $0.spec.ipFamilyPolicy = Core.ServiceSpec.preferDualStack
                    $0.spec.ports = ports
                }
            )
        ]
        for family in ["IPv4", "IPv6"] {
            let endpoints = endpoints(gateways, family: family)
            guard !endpoints.isEmpty else { continue }
            children.append(
                mirror(
                    name,
                    of: service,
                    in: namespace,
                    family: family,
                    endpoints: endpoints,
                    ports: configuration.ports.compactMap { slicePort($0) }
                )
            )
        }
        return children
    }

    /// The EndpointSlice of one family of the core Service `name`.
    private static func mirror(
        _ name: String,
        of service: Service,
        in namespace: String,
        family: String,
        endpoints: [Discovery.Endpoint],
        ports: [Discovery.EndpointPort]
    ) -> Child {
        .endpointSlice(
            Discovery.EndpointSlice {
                $0.metadata = metadata(
                    sliceName(name, family: family),
                    service: service,
                    namespace: namespace
                )
                $0.metadata.labels[Discovery.EndpointSlice.serviceNameLabel] = name
                $0.metadata.labels[Discovery.EndpointSlice.managedByLabel] = NetworkGroup.name
                $0.addressType = family
                $0.endpoints = endpoints
                $0.ports = ports
            }
        )
    }

    /// The name of the mirrored slice of a core Service.
    static func sliceName(_ service: String, family: String) -> String {
        "\(ChildName.endpointsService(of: service))-\(family.lowercased())"
    }

    private static func metadata(
        _ name: String,
        service: Service,
        namespace: String
    ) -> ObjectMeta {
        var labels = Names.childLabels
        labels[Names.ownerLabel] = service.metadata.uid
        return ObjectMeta(
            name: name,
            namespace: namespace,
            labels: labels,
            annotations: [Names.ownerAnnotation: "\(service.key)"]
        )
    }

    private static func slicePort(_ port: ServicePortConfiguration) -> Discovery.EndpointPort? {
        port.listen.map { listen in
            Discovery.EndpointPort {
                $0.name = port.name.text
                $0.port = Int32(listen.port)
                $0.protocol = "TCP"
            }
        }
    }

    private static func endpoints(
        _ gateways: [GatewayView],
        family: String
    ) -> [Discovery.Endpoint] {
        gateways.compactMap { gateway -> Discovery.Endpoint? in
            // A pod has one address of each family at the most.
            guard let text = gateway.addresses.first(where: { IPAddress($0)?.family == family })
            else { return nil }
            return Discovery.Endpoint {
                $0.addresses = [text]
                $0.conditions.ready = gateway.isServing
                $0.conditions.serving = gateway.isReady
                $0.conditions.terminating = gateway.isTerminating
            }
        }.sorted { $0.addresses.lexicographicallyPrecedes($1.addresses) }
    }
}

extension IPAddress {
    fileprivate var family: String {
        switch self {
        case .v4: "IPv4"
        case .v6: "IPv6"
        }
    }
}
