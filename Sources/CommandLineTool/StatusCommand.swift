import ArgumentParser
import KubernetesAPI
import KubernetesClient
import NetworkAPI

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show sites, links and services, and where connections go.",
        discussion: """
            For every service: its targets, cheapest first, with path cost, ready endpoints, open connections and why one is not used.
            Exits 0 when everything shown is Ready, 3 when something is not.

            Examples:
              tieline status -n shop
              tieline status -A -o json | jq '.items[].status.conditions'
              tieline status --site-dir /etc/tieline
            """
    )

    @OptionGroup var cluster: ClusterOptions

    @Flag(name: [.customShort("A"), .long], help: "All namespaces.")
    var allNamespaces = false

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    @OptionGroup var plain: PlainSiteOptions

    func validate() throws {
        if plain.siteDir != nil, allNamespaces || cluster.isGiven {
            throw ValidationError("--site-dir goes with --state and --output only")
        }
    }

    func run() async throws {
        guard let plain = try plain.status() else { return try show(try await clusterReport()) }
        try show(plain.report, isCurrent: plain.isRunning != false)
    }

    private func show(_ report: StatusReport, isCurrent: Bool = true) throws {
        switch output {
        case .table: print(report.tables, terminator: "")
        case .json: print(try Document.json(report.list), terminator: "")
        case .yaml: print(try Document.yaml(report.list), terminator: "")
        }
        if !isCurrent, output == .table {
            print("\nNo tieline-proxy runs this site: it was so when the last one ended.")
        }
        if !report.isReady || !isCurrent { throw ExitCode(3) }
    }

    private func clusterReport() async throws -> StatusReport {
        let (client, namespace) = try cluster.client()
        let scope = Scope(namespace: allNamespaces ? nil : namespace)
        let sites = try await client.listWhole(Site.self, in: scope)
        let links = try await client.listWhole(Link.self, in: scope)
        let services = try await client.listWhole(Service.self, in: scope)
        var report = StatusReport(
            sites: sites.items.sorted { $0.key < $1.key },
            links: links.items.sorted { $0.key < $1.key },
            services: services.items.sorted { $0.key < $1.key }
        )
        report.addUndecodable(sites.undecodable, .site)
        report.addUndecodable(links.undecodable, .link)
        report.addUndecodable(services.undecodable, .service)
        return report
    }
}
