/// A table of text, printed as kubectl prints its own: columns three spaces apart, `<none>` for what is missing.
struct Table {
    private let header: [String]
    private var rows: [[String]] = []

    init(_ header: [String]) { self.header = header }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ row: [String?]) {
        precondition(row.count == header.count, "\(row.count) cells for \(header.count) columns")
        rows.append(row.map { Self.printable($0) })
    }

    /// A cell without control characters: names come from other sites, and a terminal obeys escape codes.
    static func printable(_ cell: String?) -> String {
        guard let cell, !cell.isEmpty else { return "<none>" }
        return String(
            cell.unicodeScalars.map {
                $0.properties.generalCategory == .control ? "?" : Character($0)
            }
        )
    }

    var text: String {
        let lines = [header] + rows
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let cells = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            return cells.joined(separator: "   ").trimmingSuffix { $0 == " " } + "\n"
        }.joined()
    }
}

extension String {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> String {
        var end = endIndex
        while end > startIndex, predicate(self[index(before: end)]) { end = index(before: end) }
        return String(self[..<end])
    }
}
