import ArgumentParser
import CLinux
import DevnodeCore
import FoundationEssentials
import Glibc
import KubernetesAPI
import KubernetesClient
import Logging

/// The node of a test cluster, in one process.
///
/// `hack/cluster.sh` starts it as the init process of a PID namespace and in a mount namespace of its own:
/// when it ends, in whatever way, the kernel ends all containers, and mounts and networks go with them.
@main
struct Devnode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devnode",
        abstract: "A node, kube-proxy, DNS and controllers for tests, in one process.",
        discussion: "Development only. Started by hack/cluster.sh, in namespaces of its own."
    )

    @Option(help: "The name of the cluster.")
    var cluster = "default"

    @Option(help: "The kubeconfig of the API server.")
    var kubeconfig: String

    @Option(help: "The folder for logs, for the images' table, and for what hack/cluster.sh reads.")
    var state: String

    @Option(help: "What pods and Services have addresses of.")
    var families = ClusterFamilies.ipv4

    @Option(help: "How long Service rules lag behind EndpointSlices, in milliseconds.")
    var proxyDelay = 300

    @Option(help: "The first wait before a container is started again, in milliseconds.")
    var restartDelay = 200

    @Option(help: "The longest wait before a container is started again, in milliseconds.")
    var restartLimit = 10_000

    @Flag(help: "Log more.")
    var verbose = false

    func validate() throws {
        guard getpid() == 1 else {
            throw ValidationError(
                "devnode must be the init process of a PID namespace: use hack/cluster.sh up"
            )
        }
    }

    func run() async throws {
        let isVerbose = verbose
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = isVerbose ? .debug : .info
            return handler
        }
        let options = NodeOptions(
            cluster: cluster,
            state: state,
            families: families,
            images: try ImageTable(
                parsing: String(decoding: Files.read("\(state)/images"), as: UTF8.self)
            ),
            proxyDelay: .milliseconds(proxyDelay),
            restartDelay: .milliseconds(restartDelay),
            restartLimit: .milliseconds(restartLimit)
        )
        let configuration = try ClientConfiguration.load(kubeconfig: kubeconfig)
        let node = try await Node(
            options: options,
            client: KubernetesClient(configuration: configuration, userAgent: "devnode"),
            logger: Logger(label: "devnode")
        )
        try await node.run()
    }
}

extension ClusterFamilies: ExpressibleByArgument {}
