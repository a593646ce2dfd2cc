/// The coordination.k8s.io group.
package enum Coordination {}

extension Coordination {
    package struct Lease: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "coordination.k8s.io",
            version: "v1",
            kind: "Lease",
            plural: "leases"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = LeaseSpec()
        package init() {}
    }

    package struct LeaseSpec: Schema {
        package var holderIdentity: String?
        package var leaseDurationSeconds: Int32?
        package var acquireTime: MicroTimestamp?
        package var renewTime: MicroTimestamp?
        package var leaseTransitions: Int32?
        package init() {}
    }
}
