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
            """
    )

    @OptionGroup var cluster: ClusterOptions

    @Flag(name: [.customShort("A"), .long], help: "All namespaces.")
    var allNamespaces = false

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() async throws {
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
        switch output {
        case .table: print(report.tables, terminator: "")
        case .json: print(try Document.json(report.list), terminator: "")
        case .yaml: print(try Document.yaml(report.list), terminator: "")
        }
        if !report.isReady { throw ExitCode(3) }
    }
}
