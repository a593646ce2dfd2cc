import KubernetesAPI
import NetworkAPI

/// Names and labels beside `ChildName`, as the controller uses them.
enum Names {
    static let fieldManager = "tieline-controller"
    static let controller = "tieline-controller"
    static let siteRole = "tieline-controller-site"

    static let nameLabel = "app.kubernetes.io/name"
    static let managedByLabel = "app.kubernetes.io/managed-by"
    static let managedBy = "tieline"
    static let siteLabel = "tieline.dev/site"
    /// On a namespace: the namespace whose Services may be exposed there.
    static let consentLabel = "tieline.dev/allow-from"
    /// On what is exposed in another namespace: the UID of the Service that it belongs to.
    static let ownerLabel = "tieline.dev/owner-uid"
    /// Beside it: where that Service is, as NAMESPACE/NAME.
    static let ownerAnnotation = "tieline.dev/owner"
    /// On the core Service that selects the pods of a Service, and on its EndpointSlices, which take over its labels: by which
    /// selector.
    static let selectorLabel = "tieline.dev/selector"
    /// On a child: the digest of what was applied last, so that what is wanted no more is taken out.
    static let appliedAnnotation = "tieline.dev/applied"
    /// On a Site whose identity is lost: the lost one, in whose place a new one is wanted.
    static let newIdentityAnnotation = "tieline.dev/new-identity"
    /// On a Secret with credentials: when a certificate in it was renewed last.
    ///
    /// It is stored with that certificate, so that whoever comes after a crash can tell of it.
    static let renewedAnnotation = "tieline.dev/renewed"
    /// On a Site: which identity it is to have, `prepare` for another one beside it, or `none` for no other.
    static let nextIdentityAnnotation = "tieline.dev/next-identity"
    /// On the pods of the gateways: whose they are, so that another identity rolls them.
    static let identityAnnotation = "tieline.dev/site-id"
    /// Holds a Service until what it exposed in other namespaces is gone.
    static let exposureFinalizer = "tieline.dev/exposure"

    /// The core Service of the webhook, and its MutatingWebhookConfiguration.
    static let webhook = "tieline-webhook"
    static let webhookSecret = "tieline-webhook"

    static let linkPort: Int32 = 5671
    static let internalPort: Int32 = 5672
    static let adminPort: Int32 = 5673

    /// The labels of a child that is not a gateway pod.
    static let childLabels = [managedByLabel: managedBy]

    /// What selects the controllers' pods.
    static let controllerSelector =
        "app.kubernetes.io/name=tieline,app.kubernetes.io/component=controller"

    /// What selects the gateways of a Site.
    static func gatewaySelector(_ site: Site) -> [String: String] {
        [nameLabel: ChildName.proxy, siteLabel: site.metadata.name]
    }
}

extension ObjectMeta {
    /// The metadata of a child in its owner's namespace.
    init(child name: String, of owner: some KubernetesObject, labels: [String: String] = [:]) {
        self.init(
            name: name,
            namespace: owner.metadata.namespace,
            labels: Names.childLabels.merging(labels) { _, new in new },
            ownerReferences: OwnerReference(controlledBy: owner).map { [$0] } ?? []
        )
    }

    /// Whether the controller made the object.
    var isManaged: Bool { labels[Names.managedByLabel] == Names.managedBy }
}
