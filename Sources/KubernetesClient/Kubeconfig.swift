import FoundationEssentials
import HTTPTransport
import KubernetesAPI
import Yams

/// The parts of a kubeconfig that this client understands.
struct Kubeconfig {
    private var clusters: [String: Cluster] = [:]
    private var users: [String: User] = [:]
    private var contexts: [String: Context] = [:]
    private var currentContext: String?

    init() {}

    init(contentsOf path: String) throws(ConfigurationError) {
        let text = String(decoding: try readFile(path), as: UTF8.self)
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        try self.init(text: text, directory: directory, source: path)
    }

    /// Relative paths in the text are below `directory`.
    init(text: String, directory: String, source: String) throws(ConfigurationError) {
        let document: Document
        do {
            document = try YAMLDecoder().decode(Document.self, from: text)
        } catch {
            throw ConfigurationError("\(source) is not a kubeconfig: \(describeYAML(error))")
        }
        func absolute(_ path: String?) -> String? {
            path.map { $0.hasPrefix("/") || directory.isEmpty ? $0 : directory + "/" + $0 }
        }
        for entry in document.clusters ?? [] {
            var cluster = entry.cluster
            cluster.authorityFile = absolute(cluster.authorityFile)
            clusters[entry.name] = clusters[entry.name] ?? cluster
        }
        for entry in document.users ?? [] {
            var user = entry.user ?? User()
            user.certificateFile = absolute(user.certificateFile)
            user.keyFile = absolute(user.keyFile)
            user.tokenFile = absolute(user.tokenFile)
            // A command without a slash is looked up on the PATH.
            if let command = user.exec?.command, command.contains("/") {
                user.exec?.command = absolute(command) ?? command
            }
            users[entry.name] = users[entry.name] ?? user
        }
        for entry in document.contexts ?? [] {
            contexts[entry.name] = contexts[entry.name] ?? entry.context
        }
        currentContext = document.currentContext.flatMap { $0.isEmpty ? nil : $0 }
    }

    mutating func merge(_ other: Kubeconfig) {
        clusters.merge(other.clusters) { first, _ in first }
        users.merge(other.users) { first, _ in first }
        contexts.merge(other.contexts) { first, _ in first }
        currentContext = currentContext ?? other.currentContext
    }

    func configuration(context name: String?) throws(ConfigurationError) -> ClientConfiguration {
        guard let name = name ?? currentContext else {
            throw ConfigurationError("the kubeconfig has no current-context: choose one")
        }
        guard let context = contexts[name] else {
            let known = contexts.keys.sorted().joined(separator: ", ")
            throw ConfigurationError("no context \"\(name)\" in the kubeconfig, only: \(known)")
        }
        guard let cluster = clusters[context.cluster] else {
            throw ConfigurationError("context \"\(name)\" names no cluster of the kubeconfig")
        }
        var configuration = ClientConfiguration(
            server: String(cluster.server.trimmingSlashes()),
            namespace: context.namespace ?? "default"
        )
        configuration.tls.authorities = try material(cluster.authorityData, cluster.authorityFile)
        configuration.tls.verifiesPeer = cluster.skipsVerification != true
        configuration.tlsServerName = cluster.tlsServerName
        if let url = cluster.proxyURL { configuration.proxy = .url(url) }
        if let name = context.user, let user = users[name] {
            try user.apply(to: &configuration, named: name, cluster: cluster)
        }
        return configuration
    }
}

extension Kubeconfig {
    private struct Document: Decodable {
        var clusters: [NamedCluster]?
        var users: [NamedUser]?
        var contexts: [NamedContext]?
        var currentContext: String?

        enum CodingKeys: String, CodingKey {
            case clusters, users, contexts
            case currentContext = "current-context"
        }
    }

    private struct NamedCluster: Decodable {
        var name: String
        var cluster: Cluster
    }

    private struct NamedUser: Decodable {
        var name: String
        var user: User?
    }

    private struct NamedContext: Decodable {
        var name: String
        var context: Context
    }

    struct Cluster: Decodable {
        var server: String
        var authorityData: String?
        var authorityFile: String?
        var skipsVerification: Bool?
        var tlsServerName: String?
        var proxyURL: String?
        var extensions: [Extension]?

        enum CodingKeys: String, CodingKey {
            case server, extensions
            case authorityData = "certificate-authority-data"
            case authorityFile = "certificate-authority"
            case skipsVerification = "insecure-skip-tls-verify"
            case tlsServerName = "tls-server-name"
            case proxyURL = "proxy-url"
        }
    }

    struct Extension: Decodable {
        var name: String
        var `extension`: JSONValue?
    }

    fileprivate struct Context: Decodable {
        var cluster: String
        var user: String?
        var namespace: String?
    }
}

/// Inline data wins over a file.
func material(_ base64: String?, _ file: String?) throws(ConfigurationError) -> Data? {
    if let base64, !base64.isEmpty {
        let text = base64.filter { !$0.isWhitespace }
        guard let data = Data(base64Encoded: text) else {
            throw ConfigurationError("a *-data field of the kubeconfig is not base64")
        }
        return data
    }
    guard let file, !file.isEmpty else { return nil }
    return try readFile(file)
}

/// Never prints the content: it holds keys.
private func describeYAML(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, let context):
        "\(field(context.codingPath + [key])) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
        DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
        "\(field(context.codingPath)) has the wrong form"
    default: "it is not the YAML expected"
    }
}

/// `users[0].user.exec.command`.
private func field(_ path: [any CodingKey]) -> String {
    path.reduce("") { text, key in
        if let index = key.intValue { return "\(text)[\(index)]" }
        return text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)"
    }
}

extension String {
    fileprivate func trimmingSlashes() -> Substring {
        var text = self[...]
        while text.last == "/" { text.removeLast() }
        return text
    }
}
