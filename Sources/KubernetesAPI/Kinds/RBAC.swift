/// The rbac.authorization.k8s.io group.
package enum RBAC {
    package static let group = "rbac.authorization.k8s.io"
}

extension RBAC {
    package struct PolicyRule: Schema {
        package var verbs: [String] = []
        @OmitEmpty package var apiGroups: [String] = []
        @OmitEmpty package var resources: [String] = []
        @OmitEmpty package var resourceNames: [String] = []
        package init() {}
    }

    package struct RoleRef: Schema {
        package var apiGroup = RBAC.group
        package var kind = ""
        package var name = ""
        package init() {}
    }

    package struct Subject: Schema {
        package var kind = ""
        package var apiGroup: String?
        package var name = ""
        package var namespace: String?
        package init() {}
    }

    package struct Role: KubernetesObject, Schema {
        package static let resource = Resource(
            group: RBAC.group,
            version: "v1",
            kind: "Role",
            plural: "roles"
        )
        package var metadata = ObjectMeta()
        @ReadEmpty package var rules: [PolicyRule] = []
        package init() {}
    }

    package struct ClusterRole: KubernetesObject, Schema {
        package static let resource = Resource(
            group: RBAC.group,
            version: "v1",
            kind: "ClusterRole",
            plural: "clusterroles",
            isNamespaced: false
        )
        package var metadata = ObjectMeta()
        @ReadEmpty package var rules: [PolicyRule] = []
        package init() {}
    }

    package struct RoleBinding: KubernetesObject, Schema {
        package static let resource = Resource(
            group: RBAC.group,
            version: "v1",
            kind: "RoleBinding",
            plural: "rolebindings"
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var subjects: [Subject] = []
        package var roleRef = RoleRef()
        package init() {}
    }

    package struct ClusterRoleBinding: KubernetesObject, Schema {
        package static let resource = Resource(
            group: RBAC.group,
            version: "v1",
            kind: "ClusterRoleBinding",
            plural: "clusterrolebindings",
            isNamespaced: false
        )
        package var metadata = ObjectMeta()
        @OmitEmpty package var subjects: [Subject] = []
        package var roleRef = RoleRef()
        package init() {}
    }
}
