import ArgumentParser
import KubernetesAPI
import KubernetesClient

/// Which cluster and which namespaces, as kubectl's users expect.
struct ClusterOptions: ParsableArguments {
    @Option(help: "Path of the kubeconfig (default: KUBECONFIG, then ~/.kube/config).")
    var kubeconfig: String?

    @Option(help: "The kubeconfig's context.")
    var context: String?

    @Option(name: [.short, .long], help: "The namespace (default: the context's).")
    var namespace: String?

    /// Connects to nothing yet; throws when no configuration can be found, with where it was looked for.
    func client() throws -> (client: KubernetesClient, namespace: String) {
        let configuration = try ClientConfiguration.load(kubeconfig: kubeconfig, context: context)
        let client = KubernetesClient(configuration: configuration)
        return (client, namespace ?? configuration.namespace)
    }
}

/// How the result is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, yaml
}
