import KubernetesAPI
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

/// What a Service needs in its own namespace.
enum ServiceChildren {
    /// The wanted core Services.
    ///
    /// `configuration` is what the gateways were last told of this Service, nil when it is not part of it; listening
    /// core Services lead to the ports written there.
    static func make(
        service: Service,
        site: Site,
        configuration: ServiceConfiguration?
    ) -> [Child] {
        guard let configuration else { return [] }
        var children: [Child] = []
        if let selector = service.spec.selector {
            children.append(.service(endpointsService(service, selector: selector)))
        }
        if let ports = listeningPorts(configuration) {
            children.append(
                .service(
                    Core.Service {
                        $0.metadata = ObjectMeta(child: service.listenServiceName, of: service)
                        $0.spec.type = "ClusterIP"
                        $0.spec.ipFamilyPolicy = Core.ServiceSpec.preferDualStack
                        $0.spec.selector = Names.gatewaySelector(site)
                        $0.spec.ports = ports
                    }
                )
            )
        }
        return children
    }

    /// Ports of the core Service for clients, leading to the gateways' listeners; nil when nothing listens.
    static func listeningPorts(
        _ configuration: ServiceConfiguration
    ) -> [Core.ServicePort]? {
        let ports = configuration.ports.compactMap { port in
            port.listen.map { listen in
                Core.ServicePort(
                    name: port.name.text,
                    port: Int32(port.port),
                    targetPort: .int(Int32(listen.port))
                )
            }
        }
        return ports.isEmpty ? nil : ports
    }

    /// Selects the workload, so that the cluster makes EndpointSlices that the gateways read.
    ///
    /// Of the cluster's first family, as any core Service for these pods that says nothing of families: which others their
    /// servers listen on is not known.
    private static func endpointsService(
        _ service: Service,
        selector: [String: String]
    ) -> Core.Service {
        Core.Service {
            $0.metadata = ObjectMeta(
                child: ChildName.endpointsService(of: service.metadata.name),
                of: service,
                labels: [Names.selectorLabel: Selection.digest(selector)]
            )
            $0.spec.type = "ClusterIP"
            $0.spec.clusterIP = "None"
            $0.spec.selector = selector
            $0.spec.ports = service.spec.ports.map { port in
                Core.ServicePort(
                    name: port.name.text,
                    port: Int32(port.port),
                    targetPort: port.targetPort ?? .int(Int32(port.port))
                )
            }
        }
    }
}
