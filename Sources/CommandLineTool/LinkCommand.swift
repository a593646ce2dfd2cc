import ArgumentParser
import KubernetesAPI
import KubernetesClient
import NetworkAPI
import NetworkModel

struct LinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link",
        abstract: "Work with links between sites.",
        subcommands: [GenerateCommand.self, RevokeCommand.self]
    )
}

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Print the Link with which another site dials this one.",
        discussion: """
            Prints the endpoints and the pinned identity of a Site as a Link, ready for Git. It changes nothing and tells no secret.
            Apply it in the namespace of the other Site, and add that Site's ID to `spec.allow` of this one.

            Examples:
              tieline link generate -n shop > link-to-shop.yaml
              tieline link generate -n shop --cost 20 | kubectl --context west apply -n shop -f -
            """
    )

    @OptionGroup var cluster: ClusterOptions

    @Option(help: "The Site to link to (default: the one of the namespace).")
    var site: String?

    @Option(help: "The Link's name (default: the Site's).")
    var name: String?

    @Option(help: "The Link's cost, 1...1000000, in connections per endpoint (default: 1).")
    var cost: Int32?

    @Option(name: [.short, .long], help: "yaml or json.")
    var output = OutputFormat.yaml

    func validate() throws {
        if let cost, LinkCost(cost) == nil {
            throw ValidationError("--cost is 1...1000000, not \(cost)")
        }
        if let name, LinkName(name) == nil {
            throw ValidationError("--name is a DNS name in lower case, not \"\(name)\"")
        }
        if output == .table { throw ValidationError("a Link is printed as yaml or json") }
    }

    func run() async throws {
        let (client, namespace) = try cluster.client()
        let site = try await client.site(named: site, in: namespace)
        let link = try LinkGenerator.link(to: site, name: name, cost: cost.flatMap { LinkCost($0) })
        let text =
            output == .json
            ? try Document.json(Envelope(link)) : try Document.yaml(Envelope(link))
        print(text, terminator: "")
    }
}

extension KubernetesClient {
    /// The Site of that name, or the one that the namespace has.
    func site(named name: String?, in namespace: String) async throws -> Site {
        if let name {
            let key = ObjectKey(namespace: namespace, name: name)
            guard let found = try await find(Site.self, key) else {
                throw NotFound("there is no Site \(key)")
            }
            return found
        }
        let chosen = chooseSite(try await listAll(in: Scope(namespace: namespace)))
        guard let found = chosen.site else {
            throw NotFound("there is no Site in namespace \(namespace); choose another with -n")
        }
        return found
    }
}

/// What was named does not exist.
struct NotFound: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
