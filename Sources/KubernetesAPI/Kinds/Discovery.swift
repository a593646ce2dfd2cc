/// The discovery.k8s.io group.
package enum Discovery {}

extension Discovery {
    package struct EndpointSlice: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "discovery.k8s.io",
            version: "v1",
            kind: "EndpointSlice",
            plural: "endpointslices"
        )
        /// Its value is the name of the Service that the slice belongs to.
        package static let serviceNameLabel = "kubernetes.io/service-name"
        package static let managedByLabel = "endpointslice.kubernetes.io/managed-by"

        package var metadata = ObjectMeta()
        /// IPv4, IPv6 or FQDN.
        package var addressType = "IPv4"
        /// Always written, as a list.
        @ReadEmpty package var endpoints: [Endpoint] = []
        @ReadEmpty package var ports: [EndpointPort] = []
        package init() {}
    }

    package struct Endpoint: Schema {
        package var addresses: [String] = []
        @OmitEmpty package var conditions = EndpointConditions()
        package var hostname: String?
        package var targetRef: ObjectReference?
        package var nodeName: String?
        package var zone: String?
        package init() {}
    }

    package struct EndpointConditions: Schema {
        /// Absent means true.
        package var ready: Bool?
        /// Absent means as `ready`.
        package var serving: Bool?
        /// Absent means false.
        package var terminating: Bool?
        package init() {}

        package var isReady: Bool { ready ?? true }
        package var isServing: Bool { serving ?? isReady }
        package var isTerminating: Bool { terminating ?? false }
    }

    package struct EndpointPort: Schema {
        package var name: String?
        package var port: Int32?
        package var `protocol`: String?
        package var appProtocol: String?
        package init() {}
    }
}
