import KubernetesAPI
import NetworkAPI
import NetworkModel
import Yams

/// The fields of a manifest that no type knows, each with what was probably meant, and the numbers out of bounds.
///
/// Numbers are looked at here because a decoder does not say where one stands that does not fit its type.
func unusableFields(of object: Node, _ kind: ObjectKind) -> [(path: String, message: String)] {
    let shape = Shape.object([
        "apiVersion": .value, "kind": .value, "metadata": .anything, "spec": kind.specShape,
        "status": .anything,
    ])
    var found: [(path: String, message: String)] = []
    search(object, shape, path: "", &found)
    return found
}

private func search(
    _ node: Node,
    _ shape: Shape,
    path: String,
    _ found: inout [(path: String, message: String)]
) {
    switch (node, shape) {
    case (.mapping(let mapping), .object(let fields)):
        for (key, value) in mapping {
            guard let name = key.string else { continue }
            let inner = path.isEmpty ? name : "\(path).\(name)"
            if let field = fields[name] {
                search(value, field, path: inner, &found)
            } else {
                found.append(
                    (inner, "\(inner) is not a field; \(hint(name, fields.keys.sorted()))")
                )
            }
        }
    case (.mapping(let mapping), .map(let shape)):
        for (key, value) in mapping {
            search(value, shape, path: "\(path).\(key.string ?? "")", &found)
        }
    case (.sequence(let sequence), .list(let shape)):
        for (index, element) in sequence.enumerated() {
            search(element, shape, path: "\(path)[\(index)]", &found)
        }
    case (.scalar(let scalar), .number(let range)):
        let bounds = "from \(range.lowerBound) to \(range.upperBound)"
        guard let number = YAMLScalar.wholeNumber(scalar) else {
            if YAMLScalar.value(scalar) != .null {
                found.append(
                    (path, "\(path) must be a whole number \(bounds), not \(scalar.string)")
                )
            }
            return
        }
        guard !range.contains(number) else { return }
        found.append((path, "\(path) must be \(bounds), not \(number)"))
    default:
        // A value where a list belongs and the like: decoding says so.
        break
    }
}

private func hint(_ name: String, _ known: [String]) -> String {
    let near = known.map { ($0, distance(name.lowercased(), $0.lowercased())) }
        .min { $0.1 < $1.1 }
    if let near, near.1 <= max(2, name.count / 3) { return "did you mean \"\(near.0)\"?" }
    return "known here: \(known.joined(separator: ", "))"
}

/// How many letters have to be inserted, removed or replaced (Levenshtein).
private func distance(_ left: String, _ right: String) -> Int {
    let right = Array(right)
    var row = Array(0...right.count)
    for (i, letter) in left.prefix(64).enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in right.enumerated() {
            let above = row[j + 1]
            row[j + 1] =
                letter == other ? diagonal : min(diagonal, above, row[j]) + 1
            diagonal = above
        }
    }
    return row[right.count]
}
