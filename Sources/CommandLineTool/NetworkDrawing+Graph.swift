import NetworkModel
import ProxyContract

// Graphs. Names come from other sites: what a label may not have is written as entities, or left out.

extension NetworkDrawing {
    /// In the language of Graphviz (https://graphviz.org/doc/info/lang.html).
    var dot: String {
        var text = "graph tieline {\n  node [shape=box];\n"
        for site in sites {
            text += "  \"\(site.name.id)\" [label=\"\(Self.dotLabel(site.lines))\""
            text += site.best == nil ? ", style=dashed];\n" : "];\n"
        }
        for link in links {
            text += "  \"\(link.from)\" -- \"\(link.to)\" [label=\"\(Self.dotLabel(link.lines))\""
            text += link.pairsUp == 0 ? ", style=dashed];\n" : "];\n"
        }
        return text + "}\n"
    }

    private static func dotLabel(_ lines: [String]) -> String {
        lines.map { line in
            line.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        }
        .joined(separator: "\\n")
    }

    /// As a flowchart of Mermaid (https://mermaid.js.org/syntax/flowchart.html).
    var mermaid: String {
        var text = "flowchart LR\n"
        var nodes: [SiteID: String] = [:]
        for site in sites {
            let node = "s\(nodes.count)"
            nodes[site.name.id] = node
            text += "  \(node)[\"\(Self.mermaidLabel(site.lines))\"]\n"
        }
        for link in links {
            guard let from = nodes[link.from], let to = nodes[link.to] else { continue }
            let line = link.pairsUp == 0 ? "-.-" : "---"
            text += "  \(from) \(line)|\"\(Self.mermaidLabel(link.lines))\"| \(to)\n"
        }
        return text
    }

    private static func mermaidLabel(_ lines: [String]) -> String {
        lines.map { line in
            line.unicodeScalars.map { scalar in
                // Letters, digits and what names are made of stand for themselves.
                let isPlain =
                    scalar.properties.isAlphabetic
                    || " .-_,:()0123456789".unicodeScalars.contains(scalar)
                return isPlain ? String(scalar) : "#\(scalar.value);"
            }
            .joined()
        }
        .joined(separator: "<br/>")
    }
}

extension NetworkDrawing.Site {
    fileprivate var lines: [String] {
        let count = gateways == 1 ? "1 gateway" : "\(gateways) gateways"
        return [Table.printable(name.displayName), best == nil ? "out of reach" : count]
    }
}

extension NetworkDrawing.Link {
    fileprivate var lines: [String] {
        ["\(name)", "cost " + (cost.map { "\($0)" } ?? "unknown")] + (state == "up" ? [] : [state])
    }
}
