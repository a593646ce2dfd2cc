import FoundationEssentials
import KubernetesAPI

extension Child {
    /// Whether `observed` has everything that this child sets.
    ///
    /// What the server defaulted or others added beside it does not count, so an object that needs no write gets none.
    func isSatisfied(by observed: Child) -> Bool {
        guard var wanted = json, let found = observed.json else { return false }
        if case .object(var members) = wanted, case .object(var metadata)? = members["metadata"] {
            metadata["uid"] = nil
            members["metadata"] = .object(metadata)
            wanted = .object(members)
        }
        return JSONComparison.contains(found, wanted)
    }

    private var json: JSONValue? {
        guard let bytes = try? JSONEncoder.api.encode(AnyEncodable(value: object)) else {
            return nil
        }
        return try? JSONDecoder().decode(JSONValue.self, from: bytes)
    }
}

private struct AnyEncodable: Encodable {
    let value: any KubernetesObject

    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

/// Whether one JSON value holds another, in the way that server-side apply merges.
enum JSONComparison {
    /// Maps hold at least the wanted members; lists with names hold at least the wanted elements; other lists are equal.
    ///
    /// A `selector` or `matchLabels` is one value: more labels select something else. Amounts are compared as amounts.
    static func contains(
        _ found: JSONValue,
        _ wanted: JSONValue,
        key: String = ""
    ) -> Bool {
        switch (found, wanted) {
        case (.object(let found), .object(let wanted)):
            if key == "selector" || key == "matchLabels" { return found == wanted }
            return wanted.allSatisfy { member in
                found[member.key].map {
                    contains($0, member.value, key: key.isQuantities ? key : member.key)
                }
                    ?? false
            }
        case (.array(let found), .array(let wanted)):
            return lists(found, wanted, key: key)
        case (.string(let found), .string(let wanted)):
            return found == wanted
                || (key.isQuantities && Quantity(found).milli == Quantity(wanted).milli)
        default:
            return found == wanted
        }
    }

    private static func lists(_ found: [JSONValue], _ wanted: [JSONValue], key: String) -> Bool {
        let names = wanted.compactMap { identity($0) }
        guard !wanted.isEmpty, names.count == wanted.count else {
            return found.count == wanted.count
                && zip(found, wanted).allSatisfy { contains($0, $1, key: key) }
        }
        return zip(names, wanted).allSatisfy { name, element in
            found.contains { identity($0) == name && contains($0, element, key: key) }
        }
    }

    /// What tells the elements of a list apart: the keys that the API merges by.
    private static func identity(_ element: JSONValue) -> JSONValue? {
        element["uid"] ?? element["name"] ?? element["mountPath"]
    }
}

extension String {
    fileprivate var isQuantities: Bool {
        self == "requests" || self == "limits" || self == "sizeLimit"
    }
}
