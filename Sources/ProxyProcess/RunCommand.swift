package import ArgumentParser
import FoundationEssentials
import Glibc
import Logging
import NetworkModel
import Proxy
import ProxyContract
import SiteControl
import SiteFolder
import Telemetry

extension LogFormat: ExpressibleByArgument {}

/// The command line of `tieline-proxy`.
package struct ProxyCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "tieline-proxy",
        abstract: "Carries TCP connections between the sites of a Tieline network.",
        version: Build.version,
        subcommands: [Run.self]
    )

    package init() {}

    package struct Run: AsyncParsableCommand {
        package static let configuration = CommandConfiguration(
            abstract: "Runs a gateway, a plain site or a sidecar.",
            discussion: """
                Gateway in a cluster (made by the controller):
                  tieline-proxy run --configuration DIR --credentials DIR --state DIR
                A site without Kubernetes: Site, Link and Service manifests in a directory:
                  tieline-proxy run --site-dir DIR [--state DIR] [--bind ADDRESS]
                Sidecar of a workload:
                  tieline-proxy run --sidecar --gateways tieline-proxy.NAMESPACE.svc:5672 \\
                    --credentials DIR --listen backend/http=127.0.0.1:8080

                SIGHUP reads a plain site's manifests again (they are also watched). \
                SIGTERM drains: new connections go elsewhere, open ones get time to end.
                Exit codes: 0 after a drain, 1 when something failed, 64 for wrong arguments, 2 when a \
                plain site has no usable configuration at its first start.
                """
        )

        @Option(help: "Where the Secret tieline-proxy is mounted (gateway).")
        var configuration: String?

        @Option(help: "Where the Secret with certificate and key is mounted (gateway, sidecar).")
        var credentials: String?

        @Option(
            help: """
                Where state is kept for a restart (gateway, plain site). Default of a plain site: $STATE_DIRECTORY; else the \
                manifest folder if it holds the identity or can be written; else \(SiteState.standardPath).
                """
        )
        var state: String?

        @Flag(help: "Makes a new identity where the old one is gone: to others it is another site.")
        var newIdentity = false

        @Option(help: "A directory with Site, Link and Service manifests (plain site).")
        var siteDir: String?

        @Flag(help: "Runs as a sidecar.")
        var sidecar = false

        @Option(help: "HOST:PORT of the site's gateways (sidecar).")
        var gateways: String?

        @Option(help: "ADDRESS/PORTNAME=IP:PORT, a service and where to listen for it (sidecar).")
        var listen: [String] = []

        @Flag(
            help: """
                It is told to end after its workload has ended (a sidecar among the init containers): it ends with the last connection, \
                and does not wait for new ones (sidecar).
                """
        )
        var endsLast = false

        @Option(help: "The address that listeners bind. Default: all.")
        var bind: String?

        @Option(help: "IP:PORT of health, metrics and snapshot. [::] is every address, IPv4 too.")
        var admin = "[::]:5673"

        @Option(
            help: "Event loops; 0: one per core of the quota, at most 8. Default: as configured."
        )
        var loops: Int?

        @Option(
            help: """
                A file into which goes what decides for this proxy is told, for looking at a fault: lines of JSON with names, \
                addresses and certificates, without keys; at most 256 MiB, and starts again with each start.
                """
        )
        var record: String?

        @Option(help: "trace, debug, info, notice, warning, error or critical.")
        var logLevel = "info"

        @Option(help: "text, or json: one object per line.")
        var logFormat = LogFormat.text

        package init() {}

        package func validate() throws { _ = try options(environment: [:]) }

        @concurrent
        package func run() async throws {
            let level = Logger.Level(rawValue: logLevel) ?? .info
            let log = ProcessLog.start(level: level, format: logFormat)
            let options = try options(environment: ProcessInfo.processInfo.environment)
            let code = await ProxyProcess(options, log: log).run()
            log.queue.flush()
            throw ExitCode(code)
        }

        /// Checks the arguments; nothing is opened.
        func options(environment: [String: String]) throws -> RunOptions {
            guard Logger.Level(rawValue: logLevel) != nil else {
                throw ValidationError("--log-level \(logLevel) is not known")
            }
            if let loops, !(0...8).contains(loops) {
                throw ValidationError("--loops must be from 0 to 8")
            }
            return RunOptions(
                mode: try mode(environment: environment),
                admin: try Self.endpoint(admin, "--admin"),
                bind: try bind.map { text in
                    guard let address = IPAddress(text) else {
                        throw ValidationError("--bind \(text) is not an IP address")
                    }
                    return address
                },
                loops: loops == 0 ? nil : loops,
                record: record
            )
        }

        private func mode(environment: [String: String]) throws -> RunOptions.Mode {
            if newIdentity, siteDir == nil {
                throw ValidationError("--new-identity goes with --site-dir")
            }
            if endsLast, !sidecar { throw ValidationError("--ends-last goes with --sidecar") }
            if let siteDir {
                guard configuration == nil, credentials == nil, !sidecar else {
                    throw ValidationError(
                        "--site-dir goes with --state, --new-identity, --bind and --admin only"
                    )
                }
                return .site(
                    PlainSiteOptions(
                        directory: Files.withoutSlash(siteDir),
                        state: state,
                        renewsIdentity: newIdentity,
                        environment: environment
                    )
                )
            }
            if sidecar {
                guard let credentials, let gateways, !listen.isEmpty else {
                    throw ValidationError("--sidecar needs --gateways, --credentials and --listen")
                }
                return .sidecar(
                    SidecarOptions(
                        credentials: credentials,
                        gateways: try Self.hostAndPort(gateways, "--gateways"),
                        listeners: try listen.map(Self.listener),
                        endsLast: endsLast
                    )
                )
            }
            guard let configuration, let credentials else {
                throw ValidationError(
                    "give --configuration and --credentials (gateway), --site-dir (plain site) or --sidecar"
                )
            }
            return .gateway(
                GatewayOptions(
                    configuration: configuration,
                    credentials: credentials,
                    state: state,
                    namespace: environment["POD_NAMESPACE"],
                    address: environment["POD_IP"].flatMap { IPAddress($0) }
                )
            )
        }

        private static func listener(_ text: String) throws -> SidecarListener {
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let service = ServicePort(String(parts[0])) else {
                throw ValidationError(
                    "--listen \(text): write ADDRESS/PORTNAME=IP:PORT, such as backend/http=127.0.0.1:8080"
                )
            }
            return SidecarListener(
                service: service,
                endpoint: try endpoint(String(parts[1]), "--listen")
            )
        }

        private static func endpoint(_ text: String, _ option: String) throws -> Endpoint {
            let parsed = try hostAndPort(text, option)
            guard let address = IPAddress(parsed.host) else {
                throw ValidationError("\(option) \(text): \(parsed.host) is not an IP address")
            }
            return Endpoint(address: address, port: parsed.port)
        }

        private static func hostAndPort(_ text: String, _ option: String) throws -> HostAndPort {
            guard let colon = text.lastIndex(of: ":"),
                let port = UInt16(text[text.index(after: colon)...])
            else { throw ValidationError("\(option) \(text): write HOST:PORT") }
            var host = String(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = String(host.dropFirst().dropLast())
            }
            guard IPAddress(host) != nil || DNSName.isSubdomain(host) else {
                throw ValidationError(
                    "\(option) \(text): \"\(host)\" is neither a name nor an address"
                )
            }
            return HostAndPort(host: host, port: port)
        }
    }
}
