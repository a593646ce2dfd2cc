import KubernetesAPI
import KubernetesClient
import NetworkAPI
import Testing

@testable import Controller

extension OnServer {
    @Suite("P15: placement on a real API server", .timeLimit(.minutes(3)))
    struct PlacementIntegrationTests {
        let cluster: TestCluster

        init() throws { cluster = try TestCluster() }

        @Test("P15: all of it reaches the children, once, and goes when it is taken out")
        func placement() async throws {
            let client = cluster.client
            try await cluster.withNamespaces(["placed", "lease"]) { names in
                let namespace = names[0]
                let deployment = ObjectKey(namespace: namespace, name: ChildName.proxy)
                let service = ObjectKey(namespace: namespace, name: ChildName.linkService)
                try await cluster.withController(in: names[1]) {
                    let site = try await cluster.makeSite(in: namespace) {
                        $0.linkAccess = Self.access
                        $0.proxy = Self.proxy
                    }
                    let made = try await eventually("the gateways") {
                        try await client.find(Apps.Deployment.self, deployment)
                    }
                    let spec = made.spec.template.spec
                    #expect(spec.affinity == Self.proxy.affinity)
                    #expect(spec.tolerations == Self.proxy.tolerations)
                    #expect(spec.nodeSelector == ["disk": "ssd"])
                    #expect(spec.topologySpreadConstraints.map(\.topologyKey) == ["zone"])
                    let link = try await eventually("the link Service") {
                        try await client.find(Core.Service.self, service)
                    }
                    #expect(link.spec.loadBalancerSourceRanges == ["192.0.2.0/24"])
                    #expect(link.spec.externalTrafficPolicy == "Local")
                    #expect(link.metadata.annotations["example.com/kind"] == "internal")
                    // Nothing that the server adds makes the controller write again.
                    let before = try await whenQuiet { try await cluster.versions([namespace]) }
                    _ = try await cluster.makeService(in: namespace) { $0.selector = ["app": "a"] }
                    _ = try await whenQuiet { try await cluster.versions([namespace]) }
                    #expect(
                        try await client.get(Apps.Deployment.self, deployment).metadata
                            .resourceVersion == made.metadata.resourceVersion,
                        "\(before.count) objects"
                    )
                    _ = try await client.patch(
                        Site.self,
                        site.key,
                        .merge(["spec": ["proxy": ["affinity": nil, "tolerations": nil]]])
                    )
                    _ = try await eventually("affinity and tolerations are gone") {
                        let spec = try await client.get(Apps.Deployment.self, deployment).spec
                            .template.spec
                        return (spec.affinity == nil && spec.tolerations.isEmpty).orNil
                    }
                }
            }
        }

        private static var access: LinkAccess {
            var access = LinkAccess(type: .loadBalancer)
            access.annotations = ["example.com/kind": "internal"]
            access.loadBalancerSourceRanges = ["192.0.2.0/24"]
            access.externalTrafficPolicy = .local
            return access
        }

        private static var proxy: ProxySettings {
            var proxy = ProxySettings()
            proxy.nodeSelector = ["disk": "ssd"]
            proxy.tolerations = [
                Core.Toleration {
                    $0.key = "sidecar"
                    $0.operator = "Exists"
                }
            ]
            proxy.affinity = [
                "podAntiAffinity": [
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        [
                            "weight": 1,
                            "podAffinityTerm": [
                                "topologyKey": "zone",
                                "labelSelector": ["matchLabels": ["a": "b"]],
                            ],
                        ]
                    ]
                ]
            ]
            proxy.priorityClassName = "high"
            proxy.podLabels = ["team": "net"]
            proxy.imagePullSecrets = [Core.LocalObjectReference { $0.name = "pull" }]
            proxy.topologySpreadConstraints = [TopologySpread(topologyKey: "zone")]
            return proxy
        }
    }
}
