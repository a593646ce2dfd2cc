import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Yams

/// What a site needs to join by a token.
///
/// Pure.
struct Redemption {
    let token: JoinToken
    private let secretName: String
    private let linkName: String
    private let namespace: String
    private let controllerNamespace: String

    enum Problem: Error, Equatable, CustomStringConvertible {
        case unreadable(String)
        case expired(at: Timestamp, now: Timestamp)

        var description: String {
            switch self {
            case .unreadable(let reason):
                "this is no token: \(reason); give what `tieline token issue` printed"
            case .expired(let time, let now):
                "the token expired at \(time), and it is \(now) by the clock of this host: ask for another one, or "
                    + "set the clock that is wrong"
            }
        }
    }

    init(
        _ text: String,
        link: String?,
        namespace: String,
        controllerNamespace: String,
        at now: Timestamp
    ) throws(Problem) {
        guard let value = try? YAMLDecoder().decode(JSONValue.self, from: text),
            let data = try? JSONEncoder().encode(value),
            let stored = try? JSONDecoder().decode(Core.Secret.self, from: data)
        else { throw .unreadable("it is no Secret") }
        do {
            token = try JoinToken(stored)
        } catch {
            throw .unreadable(error.description)
        }
        let whole = Timestamp(seconds: now.seconds)
        guard whole <= token.expires else { throw .expired(at: token.expires, now: whole) }
        let name = stored.metadata.name
        guard DNSName.isSubdomain(name) else {
            throw .unreadable("its name, \"\(name)\", is no DNS name in lower case")
        }
        secretName = name
        linkName =
            link ?? (name.hasSuffix("-token") && name.count > 6 ? String(name.dropLast(6)) : name)
        self.namespace = namespace
        self.controllerNamespace = controllerNamespace
    }

    /// The Secret before the Link, so that the first lane is dialed with it.
    func text(cost: LinkCost?) throws -> String {
        var secret = try secret
        secret.metadata.namespace = namespace
        return [
            try Document.yamlLikeJSON(Envelope(secret)), try Document.yaml(role),
            try Document.yaml(binding), try Document.yaml(Envelope(link(cost, in: namespace))),
        ].joined(separator: "---\n")
    }

    /// The Link alone, for a plain site, which has no namespace.
    func linkText(cost: LinkCost?) throws -> String {
        try Document.yaml(Envelope(link(cost, in: nil)))
    }

    /// The token as it came.
    var secret: Core.Secret {
        get throws { try token.secret(named: secretName) }
    }

    private func link(_ cost: LinkCost?, in namespace: String?) -> Link {
        Link(
            metadata: ObjectMeta(name: linkName, namespace: namespace),
            spec: LinkSpec(
                endpoints: token.endpoints,
                remoteSiteID: token.siteID,
                tokenSecret: TokenReference(name: secretName),
                cost: cost
            )
        )
    }

    private func metadata() -> JSONValue {
        ["name": .string(secretName), "namespace": .string(namespace)]
    }

    private var role: JSONValue {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(),
            "rules": [
                [
                    "apiGroups": [""], "resources": ["secrets"],
                    "resourceNames": [.string(secretName)], "verbs": ["get", "list", "watch"],
                ]
            ],
        ]
    }

    private var binding: JSONValue {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": metadata(),
            "roleRef": [
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                "name": .string(secretName),
            ],
            "subjects": [
                [
                    "kind": "ServiceAccount", "name": "tieline-controller",
                    "namespace": .string(controllerNamespace),
                ]
            ],
        ]
    }
}
