import ArgumentParser
import KubernetesAPI
import ProxyContract

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say why connections of a service go where they go.",
        discussion: """
            Asks one proxy for its ranking of the sites that serve the service, by the very function that picks, and for its last \
            picks with what they saw. The next connection goes to the first of the ranking.

            \(AskedProxy.explanation)

            Examples:
              tieline explain backend -n shop
              tieline explain backend -n shop --from sidecar --decisions 20
              tieline explain backend --proxy 127.0.0.1:5673
            """
    )

    @Argument(
        help: "The name of the Service, or the address of a service, with /PORT for one port alone."
    )
    var service: String

    @OptionGroup var asked: AskedProxy

    @Option(help: "How many of its last picks are shown, 0 to 100.")
    var decisions = 5

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func validate() throws {
        guard (0...100).contains(decisions) else {
            throw ValidationError("--decisions is 0...100, not \(decisions)")
        }
    }

    func run() async throws {
        let line = try await asked.line()
        let name = try await line.address(of: service)
        var explanations = try await line.get(
            ServiceExplanations.self,
            "/v1/explain",
            [.init(name: "service", value: name)],
            command: "explain \(service)"
        )
        for index in explanations.items.indices {
            let shown = explanations.items[index].decisions.prefix(decisions)
            explanations.items[index].decisions = Array(shown)
        }
        switch output {
        case .table:
            print(explanations.items.map(\.text).joined(separator: "\n"), terminator: "")
        case .json: print(try Document.json(explanations), terminator: "")
        case .yaml: print(try Document.yaml(explanations), terminator: "")
        }
    }
}
