import NetworkModel
import ProxyContract

extension ServiceExplanation {
    /// The ranking as a table, the next pick in a sentence, and the last picks.
    var text: String {
        var text = "\(service) at \(site.textHere), as proxy \(proxy) saw it at \(time)\n\n"
        text += ranking.text + "\n" + next + "\n"
        if !servers.isEmpty { text += "\n" + serverTable.text }
        if !decisions.isEmpty { text += "\n" + decisionTable.text }
        return text
    }

    private var ranking: Table {
        var table = Table([
            "RANK", "SITE", "STATE", "PERCEIVED", "COST", "OPEN", "WEIGHT", "TIER", "ROUTE",
            "WHY NOT",
        ])
        for (index, candidate) in candidates.enumerated() {
            table.add([
                candidate.perceived == nil ? "-" : "\(index + 1)",
                candidate.site.displayName,
                candidate.state.rawValue,
                candidate.perceived.map(\.text),
                candidate.costText,
                "\(candidate.own &+ candidate.others &+ (candidate.elsewhere ?? 0))",
                candidate.weightText,
                "\(candidate.tier + 1)",
                candidate.routeText,
                index == 0 && candidate.perceived != nil ? "-" : whyNot(candidate),
            ])
        }
        return table
    }

    /// Why the candidate is not the first.
    private func whyNot(_ candidate: Candidate) -> String {
        if let reason = candidate.reason {
            let wait = candidate.retryMilliseconds.map { ", tried again in \($0) ms" } ?? ""
            return reason + wait
        }
        guard let first = candidates.first, let least = first.perceived,
            let own = candidate.perceived
        else { return candidate.state.rawValue }
        if candidate.tier != first.tier { return "a later tier" }
        if own != least { return "costs more" }
        if candidate.cost != first.cost { return "costs the same, its path costs more" }
        return "costs the same, was picked later"
    }

    private var next: String {
        guard let first = candidates.first, let perceived = first.perceived else {
            return "No site takes a connection: clients are refused."
        }
        let site = Table.printable(first.site.displayName)
        return "The next connection goes to \(site), at a perceived cost of "
            + "\(perceived.text)."
    }

    private var serverTable: Table {
        var table = Table(["SERVER HERE", "STATE", "OPEN"])
        for server in servers {
            table.add([server.endpoint, server.state, "\(server.connections)"])
        }
        return table
    }

    private var decisionTable: Table {
        var table = Table(["LAST PICKS", "WENT TO", "OF"])
        for decision in decisions {
            let seen = decision.seen.map { seen in
                let state = seen.isPreferred ? "" : " (failing or draining)"
                let tier =
                    decision.seen.contains { $0.tier != seen.tier }
                    ? " in tier \(seen.tier + 1)" : ""
                return "\(seen.site.displayName) \(seen.perceived.text)\(tier)\(state)"
            }
            table.add([
                "\(decision.time.rounded(to: .milliseconds(1)))", decision.site.displayName,
                seen.joined(separator: ", "),
            ])
        }
        return table
    }
}

extension ServiceExplanation.Perceived {
    /// `41/2 = 20.50`, or a whole number.
    var text: String {
        guard exact.contains("/") else { return exact }
        let hundredths = Int64(clamping: Int128((decimal * 100).rounded()))
        let rest = abs(hundredths % 100)
        return "\(exact) = \(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}

extension ServiceExplanation.Candidate {
    fileprivate var costText: String? {
        guard let path = pathCost else { return cost.map(\.description) }
        guard let cost, cost != path else { return "\(path)" }
        return "\(cost) (path \(path))"
    }

    fileprivate var weightText: String? {
        guard let weight else { return nil }
        let part = weightThousandths.map { " x \($0)/1000" } ?? ""
        return "\(weight)\(part)" + (weight == endpoints ? "" : " (\(endpoints) endpoints)")
    }

    /// The sites that are passed, without repetitions; of several paths how many there are.
    fileprivate var routeText: String? {
        guard let first = routes.first else { return nil }
        var sites: [String] = []
        for hop in first where sites.last != hop.site.displayName {
            sites.append(hop.site.displayName)
        }
        let path = sites.isEmpty ? "local" : sites.joined(separator: " > ")
        return routes.count == 1 ? path : "\(path) (1 of \(routes.count))"
    }
}

extension SiteName {
    /// The site of the proxy that was asked, which may not have heard its name.
    var textHere: String { name.isEmpty ? "this site" : Table.printable(name) }
}
