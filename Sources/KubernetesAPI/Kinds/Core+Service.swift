extension Core {
    package struct Service: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "Service",
            plural: "services"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = ServiceSpec()
        @OmitEmpty package var status = ServiceStatus()
        package init() {}
    }

    package struct ServiceSpec: Schema {
        /// ClusterIP, NodePort, LoadBalancer or ExternalName.
        package var type: String?
        /// `None` for a headless service.
        package var clusterIP: String?
        @OmitEmpty package var clusterIPs: [String] = []
        @OmitEmpty package var ports: [ServicePort] = []
        @OmitEmpty package var selector: [String: String] = [:]
        package var publishNotReadyAddresses: Bool?
        package var externalName: String?
        @OmitEmpty package var externalIPs: [String] = []
        package var externalTrafficPolicy: String?
        package var internalTrafficPolicy: String?
        package var sessionAffinity: String?
        package var loadBalancerClass: String?
        @OmitEmpty package var loadBalancerSourceRanges: [String] = []
        package var allocateLoadBalancerNodePorts: Bool?
        @OmitEmpty package var ipFamilies: [String] = []
        package var ipFamilyPolicy: String?
        package init() {}

        /// Addresses of one family, the cluster's first one.
        package static let singleStack = "SingleStack"
        /// Addresses of both families in a cluster that has both.
        package static let preferDualStack = "PreferDualStack"

        package var isHeadless: Bool { clusterIP == "None" }
    }

    package struct ServicePort: Schema {
        package var name: String?
        package var `protocol`: String?
        package var appProtocol: String?
        package var port: Int32 = 0
        package var targetPort: IntOrString?
        package var nodePort: Int32?
        package init() {}

        package init(name: String?, port: Int32, targetPort: IntOrString? = nil) {
            self.name = name
            self.protocol = "TCP"
            self.port = port
            self.targetPort = targetPort
        }
    }

    package struct ServiceStatus: Schema {
        @OmitEmpty package var loadBalancer = LoadBalancerStatus()
        @OmitEmpty package var conditions: [Condition] = []
        package init() {}
    }

    package struct LoadBalancerStatus: Schema {
        @OmitEmpty package var ingress: [LoadBalancerIngress] = []
        package init() {}
    }

    package struct LoadBalancerIngress: Schema {
        package var ip: String?
        package var hostname: String?
        package var ipMode: String?
        package init() {}
    }
}
