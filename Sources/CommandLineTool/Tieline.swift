package import ArgumentParser
import NetworkModel

/// `tieline`, also found by kubectl as `kubectl tieline`.
package struct Tieline: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "tieline",
        abstract: "TCP load balancing and failover between sites, run the Kubernetes way.",
        discussion: """
            Sites are joined by links that have a cost. A connection to a service goes to the server with the lowest \
            perceived cost: the cost of the cheapest path plus the connections already open there, per endpoint.

            Everything is configured with kubectl: Site (tsite), Link (tlink) and Service (tsvc) of tieline.dev. \
            `kubectl explain tsite.spec` is the manual of a kind, `kubectl get tieline -A` lists all three.

            First steps:
              kubectl apply -f site.yaml        make a namespace a site
              tieline link generate -n east     print the Link for another site
              tieline status -A                 see where connections go
              tieline explain backend -n east   see why
              tieline inject -f app.yaml        give workloads a sidecar
            """,
        version: Build.version,
        subcommands: [
            StatusCommand.self, CheckCommand.self, ExplainCommand.self, TraceCommand.self,
            RoutesCommand.self,
            TopologyCommand.self, LinkCommand.self, TokenCommand.self, InjectCommand.self,
            VersionCommand.self,
        ]
    )

    package init() {}
}
