import ArgumentParser
import KubernetesAPI
import NetworkModel
import ProxyContract

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Measure the way of a service's connections, hop by hop.",
        discussion: """
            Has one proxy ask every proxy on the way for an answer, and open a stream to a server as a client's would be, which ends \
            without a byte. Exits 0 when the stream was opened, 3 when it was not.

            \(AskedProxy.explanation)

            Examples:
              tieline trace backend -n shop
              tieline trace backend/http -n shop --site west --from sidecar
              tieline trace backend --proxy 127.0.0.1:5673
            """
    )

    @Argument(help: "The name of the Service, or ADDRESS/PORT where it has several ports.")
    var service: String

    @OptionGroup var asked: AskedProxy

    @Option(
        help: "The site, by its name or SiteID (default: the one that gets the next connection)."
    )
    var site: String?

    @Option(name: [.short, .long], help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() async throws {
        let line = try await asked.line()
        let name = try await line.address(of: service)
        var query = [Request.QueryItem(name: "service", value: name)]
        if let site {
            let id = try await identity(of: site, serving: name, line)
            query.append(.init(name: "site", value: id))
        }
        let command = "trace \(service)"
        let trace = try await line.get(ServiceTrace.self, "/v1/trace", query, command: command)
        switch output {
        case .table: print(trace.text, terminator: "")
        case .json: print(try Document.json(trace), terminator: "")
        case .yaml: print(try Document.yaml(trace), terminator: "")
        }
        if !trace.stream.isGood { throw ExitCode(3) }
    }

    /// Names are what sites call themselves: the proxy knows which it means by the one that it shows.
    private func identity(
        of site: String,
        serving service: String,
        _ line: ProxyLine
    ) async throws -> String {
        if SiteID(site) != nil { return site }
        let explanations = try await line.get(
            ServiceExplanations.self,
            "/v1/explain",
            [.init(name: "service", value: service)],
            command: "explain \(self.service)"
        )
        let sites = explanations.items.flatMap(\.candidates).map(\.site)
        let found = Set(sites.filter { $0.name == site }.map(\.id))
        guard let id = found.first else {
            let names = Set(sites.map { Table.printable($0.displayName) }).sorted()
            throw NotFound(
                "no site \"\(site)\" serves \(service); it is served by \(names.joined(separator: ", "))"
            )
        }
        guard found.count == 1 else {
            let ids = found.map(\.text).sorted().joined(separator: ", ")
            throw NotFound("several sites call themselves \"\(site)\": choose one of \(ids)")
        }
        return id.text
    }
}

extension ServiceTrace {
    /// The hops with their times, and the stream in a sentence.
    var text: String {
        let there = Table.printable(target.displayName)
        var text =
            "\(service) from \(site.textHere) to \(there), as proxy \(proxy) measured it at \(time)\n\n"
        if !hops.isEmpty { text += hopTable.text + "\n" }
        guard stream.isGood, let time = stream.microseconds else {
            return text + "No stream was opened: \(Table.printable(stream.reason)).\n"
        }
        let cost = pathCost.map { " at a path cost of \($0)" } ?? ""
        return text
            + "A stream to a server of \(there) opened in \(Self.milliseconds(time))\(cost).\n"
    }

    private var hopTable: Table {
        var table = Table(["HOP", "SITE", "ROUND TRIP", "MORE THAN BEFORE", "ANSWER", "GATEWAY"])
        var before: Int64? = 0
        for (index, hop) in hops.enumerated() {
            let time = hop.answer.microseconds
            let more = before.flatMap { before in time.map { max($0 - before, 0) } }
            table.add([
                "\(index + 1)", hop.site.displayName, time.map(Self.milliseconds),
                more.map(Self.milliseconds), hop.answer.reason, "\(hop.proxy)",
            ])
            before = time
        }
        return table
    }

    /// As `1.42 ms`.
    private static func milliseconds(_ microseconds: Int64) -> String {
        let hundredths = (microseconds + 5) / 10
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) ms"
    }
}
