import KubernetesAPI
import Yams

/// Writes a value over a node of a file: what is equal stays in its place and style.
enum ManifestWriter {
    static func overlay(
        _ node: Node,
        _ value: JSONValue,
        _ reader: ManifestReader
    ) throws -> Node {
        switch (node, value) {
        case (.mapping(let mapping), .object(let members)):
            var rest = members
            var pairs: [(Node, Node)] = []
            for (key, old) in mapping {
                guard let name = key.string, let new = rest.removeValue(forKey: name) else {
                    continue
                }
                pairs.append((key, try overlay(old, new, reader)))
            }
            pairs += fresh(rest)
            return .mapping(Node.Mapping(pairs, .implicit, mapping.style))
        case (.sequence(let sequence), .array(let elements)):
            var old = try sequence.map { ($0, try reader.json($0)) }
            let nodes = try elements.map { element in
                if let index = old.firstIndex(where: { $0.1 == element }) {
                    return try overlay(old.remove(at: index).0, element, reader)
                }
                // The same thing, changed: it is known by its name.
                let name = element["name"]
                if name != nil, let index = old.firstIndex(where: { $0.1["name"] == name }) {
                    return try overlay(old.remove(at: index).0, element, reader)
                }
                return fresh(element)
            }
            return .sequence(Node.Sequence(nodes, .implicit, style(of: sequence, nodes)))
        case (.scalar(let scalar), _) where YAMLScalar.value(scalar) == value:
            return .scalar(scalar)
        default:
            return fresh(value)
        }
    }

    /// `[]` that is filled is written like others.
    private static func style(of old: Node.Sequence, _ nodes: [Node]) -> Node.Sequence.Style {
        old.isEmpty && !nodes.isEmpty ? .any : old.style
    }

    static func text(_ root: Node) throws -> String {
        try serialize(node: plain(root), width: -1, allowUnicode: true)
    }

    /// Without tags and anchors: what they made of a text is written out.
    private static func plain(_ node: Node) -> Node {
        switch node {
        case .mapping(let mapping):
            let pairs = mapping.map { (plain($0.key), plain($0.value)) }
            return .mapping(Node.Mapping(pairs, .implicit, mapping.style))
        case .sequence(let sequence):
            return .sequence(Node.Sequence(sequence.map(plain), .implicit, sequence.style))
        case .scalar(let scalar):
            let value = YAMLScalar.value(scalar)
            if case .string = value, scalar.style == .plain,
                YAMLScalar.plain(scalar.string) != value
            {
                return .scalar(Node.Scalar(scalar.string, .implicit, .doubleQuoted))
            }
            if value != .string(scalar.string) {
                return .scalar(Node.Scalar(scalar.string, .implicit, .plain))
            }
            return .scalar(Node.Scalar(scalar.string, .implicit, scalar.style))
        case .alias: return node
        }
    }

    /// Names before the rest, so that people see what it is.
    private static func fresh(_ members: [String: JSONValue]) -> [(Node, Node)] {
        let first = ["name", "ip", "image"]
        let keys = members.keys.sorted { left, right in
            let places = [left, right].map { first.firstIndex(of: $0) ?? first.count }
            return places[0] == places[1] ? left < right : places[0] < places[1]
        }
        return keys.compactMap { key in
            members[key].map { (text(key), fresh($0)) }
        }
    }

    private static func fresh(_ value: JSONValue) -> Node {
        switch value {
        case .null: Node("null", .implicit, .plain)
        case .bool(let flag): Node(flag ? "true" : "false", .implicit, .plain)
        case .integer(let number): Node("\(number)", .implicit, .plain)
        case .number(let number): Node("\(number)", .implicit, .plain)
        case .string(let string): text(string)
        case .array(let elements): .sequence(Node.Sequence(elements.map(fresh)))
        case .object(let members): .mapping(Node.Mapping(fresh(members)))
        }
    }

    private static func text(_ string: String) -> Node {
        let isPlain = !string.isEmpty && YAMLScalar.plain(string) == .string(string)
        return Node(string, .implicit, isPlain ? .plain : .doubleQuoted)
    }
}
