package import FoundationEssentials
package import NetworkModel

extension Core {
    package struct Secret: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "Secret",
            plural: "secrets"
        )
        package var metadata = ObjectMeta()
        package var type: String?
        /// Bytes here, base64 on the wire.
        @OmitEmpty package var data: [String: Data] = [:]
        /// Write only: the server moves it into `data`.
        @OmitEmpty package var stringData: [String: String] = [:]
        package var immutable: Bool?
        package init() {}
    }

    /// A Secret without what it holds: that it is there, and which state of it.
    package struct SecretMetadata: MetadataOnly, Schema {
        package static let resource = Secret.resource
        package var metadata = ObjectMeta()
        package init() {}
    }

    package struct ConfigMap: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "ConfigMap",
            plural: "configmaps"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var data: [String: String] = [:]
        @OmitEmpty package var binaryData: [String: Data] = [:]
        package var immutable: Bool?
        package init() {}
    }

    package struct Namespace: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "Namespace",
            plural: "namespaces",
            isNamespaced: false
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var status = NamespaceStatus()
        package init() {}
    }

    package struct NamespaceStatus: Schema {
        /// Active or Terminating.
        package var phase: String?
        package init() {}
    }

    package struct ServiceAccount: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "ServiceAccount",
            plural: "serviceaccounts"
        )
        package var metadata = ObjectMeta()
        package var automountServiceAccountToken: Bool?
        package init() {}
    }

    package struct Node: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "",
            version: "v1",
            kind: "Node",
            plural: "nodes",
            isNamespaced: false
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var spec = NodeSpec()
        @OmitEmpty package var status = NodeStatus()
        package init() {}
    }

    package struct NodeSpec: Schema {
        package var podCIDR: String?
        package var unschedulable: Bool?
        package init() {}
    }

    package struct NodeStatus: Schema {
        @OmitEmpty package var addresses: [NodeAddress] = []
        @OmitEmpty package var conditions: [PodCondition] = []
        @OmitEmpty package var capacity: [String: Quantity] = [:]
        @OmitEmpty package var allocatable: [String: Quantity] = [:]
        package init() {}
    }

    package struct NodeAddress: Schema {
        /// InternalIP, ExternalIP, Hostname ...
        package var type = ""
        package var address = ""
        package init() {}
    }
}

/// The authentication group.
package enum Authentication {}

extension Authentication {
    /// Posted to `serviceaccounts/NAME/token`; comes back with the token in its status.
    package struct TokenRequest: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest",
            plural: "tokenrequests"
        )
        @OmitEmpty package var metadata = ObjectMeta()
        package var spec = TokenRequestSpec()
        package var status: TokenRequestStatus?
        package init() {}
    }

    package struct TokenRequestSpec: Schema {
        package var audiences: [String]? = []
        package var expirationSeconds: Int64?
        package var boundObjectRef: BoundObjectReference?
        package init() {}
    }

    package struct BoundObjectReference: Schema {
        package var apiVersion: String?
        package var kind: String?
        package var name: String?
        package var uid: String?
        package init() {}
    }

    package struct TokenRequestStatus: Schema {
        package var token = ""
        package var expirationTimestamp: Timestamp?
        package init() {}
    }
}
