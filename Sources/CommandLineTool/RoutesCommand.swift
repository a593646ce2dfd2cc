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
        let map = try await asked.line()
            .get(NetworkMap.self, "/v1/network", command: "routes")
        let gateways = map.gateways.filter { gateway in
            to.map { $0 == gateway.site.name || $0 == gateway.site.id.text } ?? true
        }
        if let to, gateways.isEmpty { throw NotFound("no gateway of a site \"\(to)\" is known") }
        switch output {
        case .table: print(map.text(of: gateways), terminator: "")
        case .json: print(try Document.json(gateways), terminator: "")
        case .yaml: print(try Document.yaml(gateways), terminator: "")
        }
    }
}
