import FoundationEssentials
package import KubernetesAPI
import NetworkModel

/// A program that gives out credentials: `users[].user.exec` of a kubeconfig (client.authentication.k8s.io).
package struct CredentialPlugin: Sendable, Equatable {
    /// Whether the program may ask the user something.
    package enum Interaction: String, Sendable, Decodable {
        case never = "Never"
        case ifAvailable = "IfAvailable"
        case always = "Always"
    }

    /// `client.authentication.k8s.io/v1` or `.../v1beta1`.
    package var apiVersion: String
    /// Looked up on the PATH, unless it has a slash.
    package var command: String
    package var arguments: [String] = []
    /// Added to the environment of this process.
    package var environment: [String: String] = [:]
    package var interaction = Interaction.ifAvailable
    /// What to do when the program is not there.
    package var installHint: String?
    /// The cluster as the program is to be told of it; nil: not at all.
    package var cluster: JSONValue?
    /// The name of the user in the kubeconfig, for messages.
    package var user: String

    /// For one that asks nothing; somebody who logs in by a browser gets longer.
    package var timeLimit = Duration.seconds(60)
    package var interactiveTimeLimit = Duration.seconds(300)

    static let group = "client.authentication.k8s.io"

    package init(apiVersion: String, command: String, user: String) {
        self.apiVersion = apiVersion
        self.command = command
        self.user = user
    }
}

/// What a plugin has given out.
struct PluginCredential: Sendable, Equatable {
    var token: String?
    var certificate: Data?
    var key: Data?
    /// Nil: as long as the API server takes it.
    var expiration: Timestamp?
}

extension CredentialPlugin {
    /// The program's answer.
    private struct Answer: Decodable {
        struct Status: Decodable {
            var token: String?
            var clientCertificateData: String?
            var clientKeyData: String?
            var expirationTimestamp: Timestamp?
        }

        var apiVersion: String?
        var kind: String?
        var status: Status?
    }

    /// What `KUBERNETES_EXEC_INFO` says.
    func request(isInteractive: Bool) throws(APIError) -> String {
        var spec: [String: JSONValue] = ["interactive": .bool(isInteractive)]
        spec["cluster"] = cluster
        let document: JSONValue = [
            "apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": .object(spec),
        ]
        do {
            return String(decoding: try JSONEncoder().encode(document), as: UTF8.self)
        } catch {
            throw problem("cannot be told of the cluster")
        }
    }

    /// Reads what the program has printed.
    func credential(from output: Data) throws(APIError) -> PluginCredential {
        guard let answer = try? JSONDecoder().decode(Answer.self, from: output),
            answer.kind == "ExecCredential"
        else { throw problem("printed no ExecCredential") }
        guard answer.apiVersion == apiVersion else {
            throw problem(
                "answered in \(answer.apiVersion ?? "no version"), the kubeconfig says \(apiVersion)"
            )
        }
        guard let status = answer.status else { throw problem("printed no status") }
        var credential = PluginCredential()
        credential.token = status.token.flatMap { $0.isEmpty ? nil : $0 }
        credential.certificate = status.clientCertificateData.map { Data($0.utf8) }
        credential.key = status.clientKeyData.map { Data($0.utf8) }
        credential.expiration = status.expirationTimestamp
        guard (credential.certificate == nil) == (credential.key == nil) else {
            throw problem("gave one of client certificate and key without the other")
        }
        guard credential.token != nil || credential.certificate != nil else {
            throw problem("gave neither a token nor a client certificate")
        }
        return credential
    }

    /// `what` follows the plugin's name.
    func problem(_ what: String) -> APIError {
        .request("the credential plugin \(command) of the kubeconfig's user \"\(user)\" \(what)")
    }
}
