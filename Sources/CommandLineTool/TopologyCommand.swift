import ArgumentParser
import ProxyContract

struct TopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology",
        abstract: "Draw the network: sites, the Links between them, and their costs.",
        discussion: """
            Shows what one gateway knows of the network. A Link that only one end speaks of is down.

            \(AskedProxy.explanation)

            Examples:
              tieline topology -n shop
              tieline topology -n shop -o dot | dot -Tsvg > network.svg
              tieline topology -n shop -o mermaid
            """
    )

    @OptionGroup var asked: AskedProxy

    @Option(name: [.short, .long], help: "text, dot, mermaid, json or yaml.")
    var output = Format.text

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case text, dot, mermaid, json, yaml
    }

    func run() async throws {
        let map = try await asked.line()
            .get(NetworkMap.self, "/v1/network", command: "topology")
        let drawing = NetworkDrawing(map)
        switch output {
        case .text: print(drawing.text, terminator: "")
        case .dot: print(drawing.dot, terminator: "")
        case .mermaid: print(drawing.mermaid, terminator: "")
        case .json: print(try Document.json(map), terminator: "")
        case .yaml: print(try Document.yaml(map), terminator: "")
        }
    }
}
