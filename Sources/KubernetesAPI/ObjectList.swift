/// One page of a list.
///
/// An object that does not decode does not spoil the others: it is in `undecodable`, by name.
package struct ObjectList<Object: KubernetesObject>: Decodable, Sendable {
    package let items: [Object]
    package let undecodable: [Undecodable]
    /// The state of the collection that this page shows.
    package let resourceVersion: String?
    /// Present when there are more pages.
    package let continueToken: String?

    private enum Key: String, CodingKey { case metadata, items }
    private enum MetadataKey: String, CodingKey { case resourceVersion, `continue` }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let metadata = try container.nestedContainer(keyedBy: MetadataKey.self, forKey: .metadata)
        resourceVersion = try metadata.decodeIfPresent(String.self, forKey: .resourceVersion)
        let token = try metadata.decodeIfPresent(String.self, forKey: .continue)
        continueToken = token?.isEmpty == true ? nil : token
        var items: [Object] = []
        var undecodable: [Undecodable] = []
        for attempt in try container.decodeIfPresent([Attempt<Object>].self, forKey: .items) ?? [] {
            switch attempt.result {
            case .success(let object): items.append(object)
            case .failure(let failure): undecodable.append(failure)
            }
        }
        self.items = items
        self.undecodable = undecodable
    }
}

/// An object whose metadata is sound and whose content this program does not understand.
package struct Undecodable: Error, Equatable, Sendable, CustomStringConvertible {
    package let metadata: ObjectMeta
    package let problem: String
    /// All that it says.
    package let content: JSONValue

    package init(metadata: ObjectMeta, problem: String, content: JSONValue = .null) {
        self.metadata = metadata
        self.problem = problem
        self.content = content
    }

    package var key: ObjectKey { metadata.key }

    package var description: String { "\(key) does not decode: \(problem)" }
}

/// An object, or why it does not decode; only broken metadata is thrown.
struct Attempt<Object: KubernetesObject>: Decodable {
    let result: Result<Object, Undecodable>

    init(from decoder: any Decoder) throws {
        do {
            result = .success(try Object(from: decoder))
        } catch {
            let partial = try PartialObject(from: decoder)
            result = .failure(
                Undecodable(
                    metadata: partial.metadata,
                    problem: describe(error),
                    content: (try? JSONValue(from: decoder)) ?? .null
                )
            )
        }
    }
}

/// A decoding error in one line: where and what.
package func describe(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return String(describing: error) }
    let (context, what): (DecodingError.Context, String) =
        switch error {
        case .keyNotFound(let key, let context): (context, "\(key.stringValue) is missing")
        case .typeMismatch(let type, let context): (context, "not a \(type)")
        case .valueNotFound(let type, let context): (context, "null instead of a \(type)")
        case .dataCorrupted(let context): (context, context.debugDescription)
        @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "\(error)")
        }
    let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
    return path.isEmpty ? what : "\(path.joined(separator: ".")): \(what)"
}
