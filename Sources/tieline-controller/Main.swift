import ArgumentParser
import Controller
import Logging

/// The process `tieline-controller`: flags, build, run.
@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tieline-controller",
        abstract:
            "Runs the sites of a cluster: watches Site, Link and Service, keeps the gateways and tells their state.",
        subcommands: [Run.self]
    )
}

struct Run: AsyncParsableCommand {
    @Option(help: "The image of the gateways.")
    var proxyImage: String

    @Option(help: "The imagePullPolicy of the gateways. Default: the cluster's.")
    var proxyPullPolicy: String?

    @Option(help: "Where /healthz, /readyz and /metrics are served, as HOST:PORT.")
    var admin = "0.0.0.0:8080"

    @Option(help: "The kubeconfig file. Default: $KUBECONFIG, the pod's account, ~/.kube/config.")
    var kubeconfig: String?

    @Option(help: "The context of the kubeconfig.")
    var context: String?

    @Option(help: "The controller's own namespace. Default: $POD_NAMESPACE, tieline-system.")
    var namespace: String?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "info"

    @concurrent
    func run() async throws {
        var options = ControllerOptions(proxyImage: proxyImage)
        guard options.setAdmin(admin) else {
            throw ValidationError("--admin is HOST:PORT, not \(admin)")
        }
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("--log-level is not \(logLevel)")
        }
        options.proxyPullPolicy = proxyPullPolicy
        options.kubeconfig = kubeconfig
        options.context = context
        if let namespace { options.namespace = namespace }
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "tieline-controller")
        logger.logLevel = level
        try await untilSignalled { [options, logger] in
            try await ControllerProgram.run(options, logger: logger)
        }
    }
}
