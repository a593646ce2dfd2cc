import KubernetesAPI
import NetworkAPI
import NetworkModel

/// What the controller keeps in the namespace of a Site, Secrets apart.
enum SiteChildren {
    static func make(site: Site, siteID: SiteID? = nil, settings: ControllerSettings) -> [Child] {
        var children: [Child] = [
            .serviceAccount(
                Core.ServiceAccount {
                    $0.metadata = ObjectMeta(child: ChildName.proxy, of: site)
                    $0.automountServiceAccountToken = false
                }
            ),
            .roleBinding(
                binding(
                    ChildName.proxy,
                    site: site,
                    subject: ObjectKey(
                        namespace: site.metadata.namespace,
                        name: ChildName.proxy
                    )
                )
            ),
            .service(internalService(site)),
            .deployment(GatewayDeployment.make(site: site, siteID: siteID, settings: settings)),
        ]
        if let access = site.spec.linkAccess {
            children.append(.service(linkService(site, access)))
        }
        return children
    }

    /// The controller's own rights in the namespace; made first, since the rest needs them.
    static func controllerBinding(site: Site, settings: ControllerSettings) -> Child {
        // Not the controller's own name: that is the binding of its Lease, where a Site shares its namespace.
        let binding = binding(
            Names.siteRole,
            site: site,
            subject: ObjectKey(namespace: settings.namespace, name: settings.serviceAccount)
        )
        return .roleBinding(binding)
    }

    private static func binding(
        _ name: String,
        site: Site,
        subject: ObjectKey
    ) -> RBAC.RoleBinding {
        RBAC.RoleBinding {
            $0.metadata = ObjectMeta(child: name, of: site)
            $0.roleRef = RBAC.RoleRef {
                $0.kind = "ClusterRole"
                $0.name = name
            }
            $0.subjects = [
                RBAC.Subject {
                    $0.kind = "ServiceAccount"
                    $0.name = subject.name
                    $0.namespace = subject.namespace
                }
            ]
        }
    }

    /// Names every gateway for the mesh and the sidecars, also those that are not ready: a gateway must be met
    /// by its siblings before it can become ready.
    ///
    /// Of the cluster's first family: one address for each gateway.
    private static func internalService(_ site: Site) -> Core.Service {
        Core.Service {
            $0.metadata = ObjectMeta(child: ChildName.proxy, of: site)
            $0.spec.type = "ClusterIP"
            $0.spec.clusterIP = "None"
            $0.spec.publishNotReadyAddresses = true
            $0.spec.selector = Names.gatewaySelector(site)
            $0.spec.ports = [
                Core.ServicePort(
                    name: "internal",
                    port: Names.internalPort,
                    targetPort: .int(Names.internalPort)
                )
            ]
        }
    }

    private static func linkService(_ site: Site, _ access: LinkAccess) -> Core.Service {
        Core.Service {
            $0.metadata = ObjectMeta(child: ChildName.linkService, of: site)
            $0.metadata.annotations = access.annotations ?? [:]
            $0.spec.type = access.type == .external ? "ClusterIP" : access.type.rawValue
            $0.spec.loadBalancerClass = access.loadBalancerClass
            $0.spec.loadBalancerSourceRanges = access.loadBalancerSourceRanges ?? []
            let families = families(access)
            $0.spec.ipFamilyPolicy =
                families.isEmpty ? Core.ServiceSpec.preferDualStack : Core.ServiceSpec.singleStack
            $0.spec.ipFamilies = families
            $0.spec.externalTrafficPolicy = access.externalTrafficPolicy?.rawValue
            $0.spec.allocateLoadBalancerNodePorts = access.allocateLoadBalancerNodePorts
            $0.spec.selector = Names.gatewaySelector(site)
            $0.spec.ports = [
                Core.ServicePort(
                    name: "link",
                    port: Int32(access.port ?? LinkAccess.standardPort),
                    targetPort: .int(Names.linkPort)
                )
            ]
        }
    }

    /// The family of the source ranges, if they are of one; none: those that the cluster has.
    ///
    /// kube-proxy applies ranges to addresses of their own family, and would let everybody in at one of the other.
    private static func families(_ access: LinkAccess) -> [String] {
        let ranges = access.loadBalancerSourceRanges ?? []
        let families = Set(ranges.map { $0.contains(":") ? "IPv6" : "IPv4" })
        return families.count == 1 ? Array(families) : []
    }
}
