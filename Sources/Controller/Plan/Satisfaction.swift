import FoundationEssentials
import KubernetesAPI

extension Child {
    /// The same child with a digest of all that it sets.
    ///
    /// What is there is compared with it: an apply also takes out what an earlier one set and this one does not, which
    /// cannot be seen by looking for what is wanted.
    var marked: Child {
        guard let bytes = bytes else { return self }
        return changing { $0.annotations[Names.appliedAnnotation] = StableHash.hex64(bytes) }
    }

    /// Whether `observed` has everything that this child sets, its digest included.
    ///
    /// What the server defaulted or others added beside it does not count, so an object that needs no write gets none.
    func isSatisfied(by observed: Child) -> Bool {
        guard let wanted = pinned(to: nil).json, let found = observed.json else { return false }
        return JSONComparison.contains(found, wanted, exact: exactLists)
    }

    /// Lists that belong to us as a whole, as server-side apply sees them too.
    private var exactLists: Set<String> {
        switch self {
        case .roleBinding: ["subjects"]
        case .endpointSlice: ["ports"]
        case .serviceAccount, .deployment, .service, .disruptionBudget: []
        }
    }

    private var bytes: Data? {
        try? JSONEncoder.api.encode(AnyEncodable(value: pinned(to: nil).object))
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
    /// Maps hold at least the wanted members; lists with names hold at least the wanted elements; other lists, and
    /// those under the keys `exact`, are equal.
    ///
    /// A `selector` or `matchLabels` is one value: more labels select something else. Amounts are compared as amounts.
    static func contains(
        _ found: JSONValue,
        _ wanted: JSONValue,
        key: String = "",
        exact: Set<String> = []
    ) -> Bool {
        switch (found, wanted) {
        case (.object(let found), .object(let wanted)):
            if key == "selector" || key == "matchLabels" { return found == wanted }
            return wanted.allSatisfy { member in
                let inner = key.isQuantities ? key : member.key
                return found[member.key].map {
                    contains($0, member.value, key: inner, exact: exact)
                } ?? false
            }
        case (.array(let found), .array(let wanted)):
            return lists(found, wanted, key: key, exact: exact)
        case (.string(let found), .string(let wanted)):
            return found == wanted || (key.isQuantities && areEqual(found, wanted))
        default:
            return found == wanted
        }
    }

    /// Amounts that are not understood are only equal as texts.
    private static func areEqual(_ left: String, _ right: String) -> Bool {
        guard let left = Quantity(left).milli, let right = Quantity(right).milli else {
            return false
        }
        return left == right
    }

    private static func lists(
        _ found: [JSONValue],
        _ wanted: [JSONValue],
        key: String,
        exact: Set<String>
    ) -> Bool {
        let names = wanted.compactMap { identity($0) }
        guard !wanted.isEmpty, names.count == wanted.count, !exact.contains(key) else {
            return found.count == wanted.count
                && zip(found, wanted).allSatisfy { contains($0, $1, key: key, exact: exact) }
        }
        return zip(names, wanted).allSatisfy { name, element in
            found.contains {
                identity($0) == name && contains($0, element, key: key, exact: exact)
            }
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
