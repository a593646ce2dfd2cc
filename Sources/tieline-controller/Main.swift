import ArgumentParser
import Controller
import Logging
import NetworkModel
import Telemetry

extension LogFormat: ExpressibleByArgument {}

/// The process `tieline-controller`: flags, build, run.
@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tieline-controller",
        abstract:
            "Runs the sites of a cluster: watches Site, Link and Service, keeps the gateways and tells their state.",
        version: Build.version,
        subcommands: [Run.self]
    )
}

struct Run: AsyncParsableCommand {
    @Option(help: "The image of the gateways.")
    var proxyImage: String

    @Option(help: "The imagePullPolicy of the gateways. Default: the cluster's.")
    var proxyPullPolicy: String?

    @Option(
        help:
            "Where /healthz, /readyz and /metrics are served, as HOST:PORT. [::] is every address, IPv4 too."
    )
    var admin = "[::]:8080"

    @Option(help: "The kubeconfig file. Default: $KUBECONFIG, the pod's account, ~/.kube/config.")
    var kubeconfig: String?

    @Option(help: "The context of the kubeconfig.")
    var context: String?

    @Option(help: "The controller's own namespace. Default: $POD_NAMESPACE, tieline-system.")
    var namespace: String?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "info"

    @Option(help: "text, or json: one object per line.")
    var logFormat = LogFormat.text

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
        let log = ProcessLog.start(level: level, format: logFormat)
        defer { log.queue.flush() }
        let logger = Logger(label: "tieline-controller")
        do {
            try await untilSignalled { [options, logger] in
                try await ControllerProgram.run(options, log: log, logger: logger)
            }
        } catch {
            // Through the queue: whoever does not read the log must not keep the process from ending.
            logger.critical("\(error)")
            throw ExitCode.failure
        }
    }
}
