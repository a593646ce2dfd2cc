import Yams

/// Where the fields of one object stand in its file.
struct ManifestSource: Sendable {
    let file: String
    /// The lines of the fields, by path (`spec.ports[0].port`); the object itself under the empty path.
    private var lines: [String: Int] = [:]

    init(file: String, object: Node) {
        self.file = file
        note(object, path: "", line: object.mark?.line ?? 0)
    }

    private mutating func note(_ node: Node, path: String, line: Int) {
        lines[path] = line
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard let name = key.string else { continue }
                note(
                    value,
                    path: path.isEmpty ? name : "\(path).\(name)",
                    line: key.mark?.line ?? line
                )
            }
        case .sequence(let sequence):
            for (index, element) in sequence.enumerated() {
                note(element, path: "\(path)[\(index)]", line: element.mark?.line ?? line)
            }
        case .scalar, .alias:
            break
        }
    }

    /// The line of the field, or of the nearest thing around it that is there.
    func line(of field: String) -> Int {
        var path = field[...]
        while true {
            if let line = lines[String(path)] { return line }
            guard let cut = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
            path = path[..<cut]
        }
        return lines[""] ?? 0
    }
}

extension ManifestProblem {
    /// A file that is no YAML.
    init(yaml error: any Error, file: String) {
        var line = 0
        var message = "\(error)"
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?,
            .composer(_, let problem, let mark, _)?:
            line = mark.line
            message = "this is not YAML: \(problem)"
        case .reader(let problem, _, _, _)?:
            message = "this is not YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, let context)?:
            line = context.mark.line
            message = "a field stands here twice: \(keys.joined(separator: ", "))"
        default:
            break
        }
        self.init(file: file, line: line, field: "", message: message)
    }
}
