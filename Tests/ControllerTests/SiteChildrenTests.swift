import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import Controller

@Suite("Children of a Site")
struct SiteChildrenTests {
    private func deployment(_ site: Site) -> Apps.Deployment {
        GatewayDeployment.make(site: site, settings: Samples.settings)
    }

    @Test("the gateways meet the restricted pod security standard")
    func restricted() throws {
        let spec = deployment(Samples.site()).spec.template.spec
        let container = try #require(spec.containers.first)
        let security = try #require(container.securityContext)
        #expect(spec.securityContext?.runAsNonRoot == true)
        #expect(security.allowPrivilegeEscalation == false)
        #expect(security.readOnlyRootFilesystem == true)
        #expect(security.capabilities?.drop == ["ALL"])
        #expect(security.seccompProfile?.type == "RuntimeDefault")
        #expect(spec.volumes.compactMap(\.secret?.optional) == [true, true])
        #expect(spec.volumes.last?.emptyDir?.medium == "Memory")
    }

    @Test("a gateway gets the time to drain, rounded up, and five seconds")
    func grace() {
        #expect(deployment(Samples.site()).spec.template.spec.terminationGracePeriodSeconds == 40)
        let site = Samples.site {
            $0.drain = DrainSettings(delay: APIDuration("1500ms"), grace: APIDuration("1m"))
        }
        #expect(deployment(site).spec.template.spec.terminationGracePeriodSeconds == 67)
    }

    @Test("the number of loops is an argument only when it is given")
    func loops() {
        #expect(
            deployment(Samples.site()).spec.template.spec.containers[0].args == [
                "run", "--configuration", "/etc/tieline/configuration", "--credentials",
                "/etc/tieline/credentials", "--state", "/var/lib/tieline",
            ]
        )
        let site = Samples.site { $0.proxy = ProxySettings(replicas: 3, loops: 2) }
        #expect(
            deployment(site).spec.template.spec.containers[0].args.suffix(2) == ["--loops", "2"]
        )
        #expect(deployment(site).spec.replicas == 3)
    }

    @Test(
        "a gateway asks for a little where the Site says nothing, and is limited only where it says so"
    )
    func resources() {
        func container(_ resources: ComputeResources?) -> Core.ResourceRequirements {
            let site = Samples.site { $0.proxy = ProxySettings(resources: resources) }
            return deployment(site).spec.template.spec.containers[0].resources
        }
        let standard = ["cpu": Quantity("50m"), "memory": Quantity("64Mi")]
        #expect(container(nil).requests == standard && container(nil).limits.isEmpty)
        let own = container(
            ComputeResources(
                requests: ["cpu": Quantity("2")],
                limits: ["memory": Quantity("32Mi")]
            )
        )
        // A request above the limit would be refused: the limit alone is the request, too.
        #expect(own.requests == ["cpu": Quantity("2")])
        #expect(own.limits == ["memory": Quantity("32Mi")])
    }

    @Test("a child carries no label or annotation of the Site, and is owned by it")
    func metadata() {
        var site = Samples.site { $0.linkAccess = LinkAccess(type: .external, hosts: ["h"]) }
        site.metadata.labels = ["argocd.argoproj.io/instance": "x"]
        site.metadata.annotations = ["a": "b"]
        let children = SiteChildren.make(site: site, settings: Samples.settings)
        #expect(children.count == 5)
        for child in children {
            let metadata = child.object.metadata
            #expect(metadata.labels["argocd.argoproj.io/instance"] == nil)
            #expect(metadata.annotations.isEmpty)
            #expect(metadata.controller?.uid == site.metadata.uid)
            #expect(metadata.isManaged)
        }
    }

    @Test("no core Service for links without linkAccess")
    func dialsOnly() {
        let names = SiteChildren.make(site: Samples.site(), settings: Samples.settings).map(
            \.key.name
        )
        #expect(!names.contains("tieline-link"))
    }

    @Test("P3: the link Service is dual-stack, unless its source ranges would leave a family open")
    func families() {
        func policy(_ ranges: [String]?) -> [String]? {
            var access = LinkAccess(type: .loadBalancer)
            access.loadBalancerSourceRanges = ranges
            let site = Samples.site { $0.linkAccess = access }
            return SiteChildren.make(site: site, settings: Samples.settings).lazy.compactMap {
                guard case .service(let service) = $0, service.metadata.name == "tieline-link"
                else { return nil }
                return [service.spec.ipFamilyPolicy ?? ""] + service.spec.ipFamilies
            }.first
        }
        #expect(policy(nil) == ["PreferDualStack"])
        #expect(policy(["192.0.2.0/24", "2001:db8::/32"]) == ["PreferDualStack"])
        #expect(policy(["192.0.2.0/24", "198.51.100.0/24"]) == ["SingleStack", "IPv4"])
        #expect(policy(["2001:db8::/32"]) == ["SingleStack", "IPv6"])
    }

    @Test("the addresses advertised are those that exist")
    func endpoints() {
        var service = Core.Service { $0.spec.clusterIP = "10.96.0.9" }
        func find(_ access: LinkAccess?) -> [String] {
            SiteEndpoints.find(site: Samples.site { $0.linkAccess = access }, service: service)
                .endpoints.map { "\($0.host):\($0.port)" }
        }
        #expect(find(nil).isEmpty)
        #expect(find(LinkAccess(type: .clusterIP)) == ["tieline-link.shop.svc:5671"])
        #expect(
            find(LinkAccess(type: .external, port: 443, hosts: ["a", "b"])) == ["a:443", "b:443"]
        )
        #expect(find(LinkAccess(type: .loadBalancer)).isEmpty)
        service.status.loadBalancer.ingress = [
            Core.LoadBalancerIngress { $0.ip = "192.0.2.7" },
            Core.LoadBalancerIngress { $0.hostname = "lb.example.com" },
        ]
        #expect(find(LinkAccess(type: .loadBalancer)) == ["192.0.2.7:5671", "lb.example.com:5671"])
        #expect(find(LinkAccess(type: .nodePort, hosts: ["n1"])).isEmpty)
        service.spec.ports = [Core.ServicePort { $0.nodePort = 30_123 }]
        #expect(find(LinkAccess(type: .nodePort, hosts: ["n1"])) == ["n1:30123"])
        #expect(find(LinkAccess(type: .nodePort)).isEmpty)
    }
}

@Suite("P15: what a Site says of its gateways and its link Service")
struct SitePlacementTests {
    @Test("P15: scheduling, labels and pull Secrets reach the Deployment")
    func placement() throws {
        var proxy = ProxySettings()
        proxy.nodeSelector = ["disk": "ssd"]
        proxy.tolerations = [
            Core.Toleration {
                $0.key = "sidecar"
                $0.operator = "Exists"
            }
        ]
        proxy.affinity = ["nodeAffinity": ["x": 1]]
        proxy.priorityClassName = "high"
        proxy.podLabels = ["team": "net", "tieline.dev/site": "other"]
        proxy.podAnnotations = ["a": "b"]
        proxy.imagePullSecrets = [Core.LocalObjectReference { $0.name = "pull" }]
        var zones = TopologySpread(topologyKey: "topology.kubernetes.io/zone")
        zones.whenUnsatisfiable = "DoNotSchedule"
        zones.minDomains = 3
        proxy.topologySpreadConstraints = [zones]
        let site = Samples.site { $0.proxy = proxy }
        let deployment = GatewayDeployment.make(site: site, settings: Samples.settings)
        let template = deployment.spec.template
        #expect(template.spec.nodeSelector == ["disk": "ssd"])
        #expect(template.spec.tolerations == proxy.tolerations)
        #expect(template.spec.affinity?["nodeAffinity"]?["x"]?.integer == 1)
        #expect(template.spec.priorityClassName == "high")
        #expect(template.spec.imagePullSecrets.map(\.name) == ["pull"])
        #expect(template.metadata.labels["team"] == "net")
        #expect(template.metadata.annotations == ["a": "b"])
        // The labels by which gateways are found are never another's.
        #expect(template.metadata.labels["tieline.dev/site"] == site.metadata.name)
        let spread = try #require(template.spec.topologySpreadConstraints.first)
        #expect(template.spec.topologySpreadConstraints.count == 1 && spread.maxSkew == 1)
        #expect(spread.whenUnsatisfiable == "DoNotSchedule" && spread.minDomains == 3)
        #expect(spread.labelSelector?.matchLabels == deployment.spec.selector.matchLabels)
    }

    @Test("P15: without a word the gateways are spread over hosts, as far as possible")
    func standard() {
        let spec = GatewayDeployment.make(site: Samples.site(), settings: Samples.settings)
            .spec.template.spec
        #expect(spec.topologySpreadConstraints.map(\.topologyKey) == ["kubernetes.io/hostname"])
        #expect(spec.topologySpreadConstraints.map(\.whenUnsatisfiable) == ["ScheduleAnyway"])
        #expect(spec.affinity == nil && spec.tolerations.isEmpty)
    }

    @Test("P15: what clouds are told of the load balancer reaches the link Service")
    func linkService() throws {
        var access = LinkAccess(type: .loadBalancer)
        access.annotations = ["service.beta.kubernetes.io/aws-load-balancer-type": "nlb"]
        access.loadBalancerClass = "example.com/lb"
        access.loadBalancerSourceRanges = ["192.0.2.0/24"]
        access.externalTrafficPolicy = .local
        access.allocateLoadBalancerNodePorts = false
        let site = Samples.site { $0.linkAccess = access }
        let service = try #require(
            SiteChildren.make(site: site, settings: Samples.settings)
                .compactMap { if case .service(let service) = $0 { service } else { nil } }
                .first { $0.metadata.name == "tieline-link" }
        )
        #expect(service.metadata.annotations == access.annotations)
        #expect(service.spec.loadBalancerClass == "example.com/lb")
        #expect(service.spec.loadBalancerSourceRanges == ["192.0.2.0/24"])
        #expect(service.spec.externalTrafficPolicy == "Local")
        #expect(service.spec.allocateLoadBalancerNodePorts == false)
    }
}
