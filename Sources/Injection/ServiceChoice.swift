import NetworkModel

/// The services that a Pod uses, as its annotation or `--services` names them: `backend, db/tcp, cache/redis:6379`.
///
/// A name alone is all ports of that Service. With a port's name and number nothing has to be looked up: the name is the address
/// and the host name then.
package struct ServiceChoice: Equatable, Sendable {
    struct Item: Equatable, Sendable {
        var service: String
        var port: PortName?
        var number: UInt16?
    }

    private(set) var items: [Item]

    /// - Throws: what is wrong, with the remedy.
    package init(_ text: String) throws(InjectionProblem) {
        items = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let words = part.split(whereSeparator: \.isWhitespace)
            // A blank within a name is a missing comma.
            let item = try Self.item(words.joined(separator: " "))
            if !items.contains(item) { items.append(item) }
        }
    }

    private static func item(_ text: String) throws(InjectionProblem) -> Item {
        let problem = InjectionProblem(
            "\"\(text)\" names no service: write NAME, NAME/PORTNAME or NAME/PORTNAME:PORT, "
                + "with commas between them, such as backend,db/tcp"
        )
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard DNSName.isLabel(name) else { throw problem }
        guard parts.count == 2 else { return Item(service: name) }
        let port = parts[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let portName = PortName(String(port[0])) else { throw problem }
        guard port.count == 2 else { return Item(service: name, port: portName) }
        guard let number = UInt16(port[1]), number > 0 else { throw problem }
        return Item(service: name, port: portName, number: number)
    }

    /// The chosen services among those that the Site listens for.
    ///
    /// - Throws: which one is missing, with the remedy.
    package func resolve(
        among offered: [OfferedService]
    ) throws(InjectionProblem) -> [OfferedService] {
        var chosen: [OfferedService] = []
        for item in items {
            let part = try resolve(item, among: offered)
            if let known = chosen.firstIndex(where: { $0.host == part.host }) {
                for port in part.ports where !chosen[known].ports.contains(port) {
                    chosen[known].ports.append(port)
                }
            } else {
                chosen.append(part)
            }
        }
        return chosen
    }

    private func resolve(
        _ item: Item,
        among offered: [OfferedService]
    ) throws(InjectionProblem) -> OfferedService {
        guard let found = offered.first(where: { $0.name == item.service }) else {
            if let port = item.port, let number = item.number,
                let address = ServiceAddress(item.service)
            {
                return OfferedService(
                    name: item.service,
                    host: item.service,
                    address: address,
                    ports: [OfferedService.Port(name: port, number: number)]
                )
            }
            throw InjectionProblem(
                "there is no Service \"\(item.service)\" of tieline.dev here that the Site listens for (\(known(offered))); "
                    + "make one, or write its port too: \(item.service)/PORTNAME:PORT"
            )
        }
        guard let name = item.port else { return found }
        guard let port = found.ports.first(where: { $0.name == name }) else {
            let names = found.ports.map(\.name.text).joined(separator: ", ")
            throw InjectionProblem(
                "Service \"\(item.service)\" has no port \"\(name)\"; it has \(names)"
            )
        }
        if let number = item.number, number != port.number {
            throw InjectionProblem(
                "port \"\(name)\" of Service \"\(item.service)\" is \(port.number), not \(number); leave the number out"
            )
        }
        var one = found
        one.ports = [port]
        return one
    }

    private func known(_ offered: [OfferedService]) -> String {
        guard !offered.isEmpty else { return "it listens for none" }
        let names = offered.map(\.name).sorted()
        let rest = names.count > 8 ? " and \(names.count - 8) more" : ""
        return "it listens for \(names.prefix(8).joined(separator: ", "))\(rest)"
    }
}

/// Why a Pod gets no sidecar, with what to do about it.
package struct InjectionProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
