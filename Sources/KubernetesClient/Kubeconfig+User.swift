import FoundationEssentials
import HTTPTransport
import KubernetesAPI

extension Kubeconfig {
    /// How somebody proves who he is: `users[].user`.
    struct User: Decodable {
        var token: String?
        var tokenFile: String?
        var username: String?
        var password: String?
        var certificateData: String?
        var certificateFile: String?
        var keyData: String?
        var keyFile: String?
        var exec: Exec?
        var authProvider: Provider?
        var impersonates: String?
        var impersonatesGroups: [String]?
        var impersonatesUID: String?
        var impersonatesExtra: [String: [String]]?

        enum CodingKeys: String, CodingKey {
            case token, tokenFile, username, password, exec
            case certificateData = "client-certificate-data"
            case certificateFile = "client-certificate"
            case keyData = "client-key-data"
            case keyFile = "client-key"
            case authProvider = "auth-provider"
            case impersonates = "as"
            case impersonatesGroups = "as-groups"
            case impersonatesUID = "as-uid"
            case impersonatesExtra = "as-user-extra"
        }

        /// A credential plugin.
        struct Exec: Decodable {
            struct Variable: Decodable {
                var name: String
                var value: String
            }

            var apiVersion: String?
            var command: String
            var args: [String]?
            var env: [Variable]?
            var installHint: String?
            var provideClusterInfo: Bool?
            var interactiveMode: String?
        }

        /// Built into kubectl once, taken out of it with Kubernetes 1.26.
        struct Provider: Decodable { var name: String? }
    }
}

extension Kubeconfig.User {
    func apply(
        to configuration: inout ClientConfiguration,
        named name: String,
        cluster: Kubeconfig.Cluster
    ) throws(ConfigurationError) {
        configuration.tls.certificate = try material(certificateData, certificateFile)
        configuration.tls.key = try material(keyData, keyFile)
        if let user = impersonates, !user.isEmpty {
            var impersonation = ClientConfiguration.Impersonation(
                user: user,
                groups: impersonatesGroups ?? []
            )
            impersonation.uid = impersonatesUID
            impersonation.extra = impersonatesExtra ?? [:]
            configuration.impersonation = impersonation
        }
        if let tokenFile, !tokenFile.isEmpty {
            configuration.credential = .tokenFile(tokenFile, fallback: token)
        } else if let token, !token.isEmpty {
            configuration.credential = .token(token)
        } else if let username, !username.isEmpty {
            configuration.credential = .password(user: username, password ?? "")
        } else if let exec {
            configuration.credential = .plugin(
                try exec.plugin(user: name, cluster: cluster, configuration)
            )
        } else if let authProvider {
            throw ConfigurationError(
                "the kubeconfig's user \"\(name)\" has the auth-provider \(authProvider.name ?? ""), which Kubernetes "
                    + "gave up with 1.26: let the provider's tool write the kubeconfig again, with exec"
            )
        }
    }
}

extension Kubeconfig.User.Exec {
    fileprivate func plugin(
        user: String,
        cluster: Kubeconfig.Cluster,
        _ configuration: ClientConfiguration
    ) throws(ConfigurationError) -> CredentialPlugin {
        let version = apiVersion ?? ""
        let group = CredentialPlugin.group
        guard version == "\(group)/v1" || version == "\(group)/v1beta1" else {
            throw ConfigurationError(
                "the kubeconfig's user \"\(user)\" has exec.apiVersion \"\(version)\": "
                    + "\(group)/v1 and \(group)/v1beta1 are known; update \(command) and let it write the kubeconfig again"
            )
        }
        guard !command.isEmpty else {
            throw ConfigurationError("the kubeconfig's user \"\(user)\" has no exec.command")
        }
        var plugin = CredentialPlugin(apiVersion: version, command: command, user: user)
        plugin.arguments = args ?? []
        plugin.environment = Dictionary((env ?? []).map { ($0.name, $0.value) }) { _, last in last }
        plugin.installHint = installHint.flatMap { $0.isEmpty ? nil : $0 }
        if let interactiveMode {
            guard let mode = CredentialPlugin.Interaction(rawValue: interactiveMode) else {
                throw ConfigurationError(
                    "the kubeconfig's user \"\(user)\" has exec.interactiveMode \"\(interactiveMode)\": "
                        + "Never, IfAvailable or Always"
                )
            }
            plugin.interaction = mode
        } else if version == "\(group)/v1" {
            throw ConfigurationError(
                "the kubeconfig's user \"\(user)\" needs exec.interactiveMode: Never, IfAvailable or Always"
            )
        }
        if provideClusterInfo == true { plugin.cluster = cluster.info(configuration) }
        return plugin
    }
}

extension Kubeconfig.Cluster {
    /// `spec.cluster` of an ExecCredential.
    fileprivate func info(_ configuration: ClientConfiguration) -> JSONValue {
        var info: [String: JSONValue] = ["server": .string(configuration.server)]
        info["tls-server-name"] = tlsServerName.map { .string($0) }
        if skipsVerification == true { info["insecure-skip-tls-verify"] = true }
        info["certificate-authority-data"] = configuration.tls.authorities.map {
            .string($0.base64EncodedString())
        }
        info["proxy-url"] = proxyURL.map { .string($0) }
        info["config"] =
            extensions?.first { $0.name == "\(CredentialPlugin.group)/exec" }?.extension
        return .object(info)
    }
}
