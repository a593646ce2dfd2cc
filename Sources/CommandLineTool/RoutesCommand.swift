import ArgumentParser
import NetworkModel
import ProxyContract

struct RoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes",
        abstract: "Show the ways from a gateway to every other gateway, and what they cost.",
        discussion: """
            Every way of the least cost is shown; streams go round those of one gateway. A gateway out of reach has none. What a \
            Service makes of them (weights, tiers, connections) is told by `tieline explain`.

            \(AskedProxy.explanation)

            Examples:
              tieline routes -n shop
              tieline routes -n shop --to west
              tieline routes --proxy 127.0.0.1:5673 -o json
            """
    )

    @OptionGroup var asked: AskedProxy

    @Option(help: "Only the ways to this site, by its name or SiteID.")
    var to: String?

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() async throws {
        var map = try await asked.line()
            .get(NetworkMap.self, "/v1/network", command: "routes")
        if let to {
            map.gateways.removeAll { $0.site.name != to && $0.site.id.text != to }
            if map.gateways.isEmpty { throw NotFound("no gateway of a site \"\(to)\" is known") }
        }
        switch output {
        case .table: print(map.routesText, terminator: "")
        case .json: print(try Document.json(map.gateways), terminator: "")
        case .yaml: print(try Document.yaml(map.gateways), terminator: "")
        }
    }
}
