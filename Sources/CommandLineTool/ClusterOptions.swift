import ArgumentParser
import KubernetesAPI
import KubernetesClient
import NetworkAPI

/// Which cluster and which namespaces, as kubectl's users expect.
struct ClusterOptions: ParsableArguments {
    @Option(help: "Path of the kubeconfig (default: KUBECONFIG, then ~/.kube/config).")
    var kubeconfig: String?

    @Option(help: "The kubeconfig's context.")
    var context: String?

    @Option(name: [.short, .long], help: "The namespace (default: the context's).")
    var namespace: String?

    @Option(name: .customLong("as"), help: "The user to act as.")
    var impersonatedUser: String?

    @Option(name: .customLong("as-group"), help: "A group to act as; may be given several times.")
    var impersonatedGroups: [String] = []

    @Option(
        help: "The longest time for one request, as 5s or 1m; 0: no limit (default: 30s).",
        transform: RequestTimeout.init(argument:)
    )
    var requestTimeout: RequestTimeout?

    /// Whether anything of a cluster was named.
    var isGiven: Bool {
        kubeconfig != nil || context != nil || namespace != nil || impersonatedUser != nil
            || requestTimeout != nil
    }

    func validate() throws {
        if !impersonatedGroups.isEmpty, impersonatedUser == nil {
            throw ValidationError("--as-group needs --as")
        }
    }

    /// Connects to nothing yet; throws when no configuration can be found, with where it was looked for.
    func client() throws -> (client: KubernetesClient, namespace: String) {
        var configuration = try ClientConfiguration.load(kubeconfig: kubeconfig, context: context)
        if let impersonatedUser {
            configuration.impersonation = ClientConfiguration.Impersonation(
                user: impersonatedUser,
                groups: impersonatedGroups
            )
        }
        var client = KubernetesClient(configuration: configuration)
        if let requestTimeout { client.timeout = requestTimeout.duration }
        return (client, namespace ?? configuration.namespace)
    }
}

/// The argument of `--request-timeout`, as kubectl has it: a number without a unit is seconds.
struct RequestTimeout: Sendable {
    let duration: Duration

    init(argument: String) throws {
        let text =
            argument.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
            ? "\(argument)s" : argument
        guard let value = APIDuration(text) else {
            throw ValidationError(
                "\"\(argument)\" is not a duration; write for example 5s, 1m or 0"
            )
        }
        duration = value.duration == .zero ? .seconds(24 * 3600) : value.duration
    }
}

/// How the result is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, yaml
}
