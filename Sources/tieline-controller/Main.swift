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
        subcommands: [Run.self, ReleaseFinalizers.self, Check.self]
    )
}

/// Which cluster, and how is logged: options of every command.
struct CommonOptions: ParsableArguments {
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

    func validate() throws {
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("--log-level is not \(logLevel)")
        }
    }

    /// Does `work` until it ends or a signal comes; what it throws is logged.
    func run(
        _ work: @escaping @Sendable (ProcessLog, Logger) async throws -> Void
    ) async throws {
        let log = ProcessLog.start(
            level: Logger.Level(rawValue: logLevel) ?? .info,
            format: logFormat
        )
        defer { log.queue.flush() }
        let logger = Logger(label: "tieline-controller")
        do {
            try await untilSignaled { try await work(log, logger) }
        } catch {
            // Through the queue: whoever does not read the log must not keep the process from ending.
            logger.critical("\(error)")
            throw ExitCode.failure
        }
    }

    func place(_ logger: Logger) throws -> ClusterPlace {
        try ClusterPlace(
            kubeconfig: kubeconfig,
            context: context,
            namespace: namespace ?? ControllerOptions.ownNamespace(),
            logger: logger
        )
    }
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the controller.")

    @Option(help: "The image of the gateways.")
    var proxyImage: String

    @Option(help: "The imagePullPolicy of the gateways. Default: the cluster's.")
    var proxyPullPolicy: String?

    @Option(
        help:
            "Where /healthz, /readyz and /metrics are served, as HOST:PORT. [::] is every address, IPv4 too."
    )
    var admin = "[::]:8080"

    @Option(
        help:
            "Where the API server asks over HTTPS whether a Pod gets a sidecar, as HOST:PORT. Default: nowhere, nothing is injected."
    )
    var webhook: String?

    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        var options = ControllerOptions(proxyImage: proxyImage)
        guard options.setAdmin(admin) else {
            throw ValidationError("--admin is HOST:PORT, not \(admin)")
        }
        if let webhook, !options.setWebhook(webhook) {
            throw ValidationError("--webhook is HOST:PORT, not \(webhook)")
        }
        options.proxyPullPolicy = proxyPullPolicy
        options.kubeconfig = common.kubeconfig
        options.context = common.context
        if let namespace = common.namespace { options.namespace = namespace }
        try await common.run { [options] log, logger in
            try await ControllerProgram.run(options, log: log, logger: logger)
        }
    }
}

struct ReleaseFinalizers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops the controllers and takes the finalizers off all Services.",
        discussion: """
            Before an uninstall: afterwards nobody would take them off, and namespaces could not be deleted. The chart does it by \
            itself; after kubectl delete it is for a user with cluster-admin.
            """
    )

    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        try await common.run { [common] _, logger in
            try await FinalizerRelease(common.place(logger)).run()
        }
    }
}

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks that the installation works: kinds, controllers, leader.",
        discussion: "For helm test. Exit code 1 when something does not work."
    )

    @Option(help: "How long to wait until it works, in seconds.")
    var wait = 60

    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        try await common.run { [common, wait] _, logger in
            try await InstallationCheck(common.place(logger), patience: .seconds(wait)).run()
        }
    }
}
