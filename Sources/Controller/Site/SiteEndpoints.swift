import KubernetesAPI
import NetworkAPI

/// Where other sites link to a Site.
enum SiteEndpoints {
    /// Only addresses that exist; with why there are none yet.
    static func find(
        site: Site,
        service: Core.Service?
    ) -> (endpoints: [LinkEndpoint], missing: String?) {
        guard let access = site.spec.linkAccess else { return ([], nil) }
        let port = access.port ?? LinkAccess.standardPort
        let hosts = access.hosts ?? []
        guard let service else {
            return ([], "the core Service \(ChildName.linkService) is being made")
        }
        switch access.type {
        case .external:
            return (endpoints(hosts, port), nil)
        case .clusterIP:
            guard let address = service.spec.clusterIP, !address.isEmpty else {
                return ([], "the core Service \(ChildName.linkService) has no address yet")
            }
            let name = "\(ChildName.linkService).\(site.metadata.namespace ?? "default").svc"
            return (endpoints(hosts.isEmpty ? [name] : hosts, port), nil)
        case .nodePort:
            guard let node = service.spec.ports.first?.nodePort.flatMap(UInt16.init(exactly:)),
                node > 0
            else {
                return ([], "the core Service \(ChildName.linkService) has no node port yet")
            }
            guard !hosts.isEmpty else {
                return (
                    [],
                    "put names or addresses of nodes into spec.linkAccess.hosts: they are reached at node port \(node)"
                )
            }
            return (endpoints(hosts, node), nil)
        case .loadBalancer:
            let found = service.status.loadBalancer.ingress.compactMap { $0.hostname ?? $0.ip }
            guard !found.isEmpty else {
                return (
                    [],
                    "the cluster has not given the core Service \(ChildName.linkService) an address yet; "
                        + "kubectl describe service \(ChildName.linkService) says why"
                )
            }
            return (endpoints(hosts.isEmpty ? found : hosts, port), nil)
        }
    }

    private static func endpoints(_ hosts: [String], _ port: UInt16) -> [LinkEndpoint] {
        hosts.map { LinkEndpoint(host: $0, port: port) }
    }
}
