import FoundationEssentials
import KubernetesAPI
import Yams

/// Objects as text, in the forms that kubectl reads and writes.
enum Document {
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    /// By way of JSON: bytes are texts in base64, as the API server has them.
    static func yamlLikeJSON(_ value: some Encodable) throws -> String {
        try yaml(JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value)))
    }

    static func yaml(_ value: some Encodable) throws -> String {
        let encoder = YAMLEncoder()
        encoder.options.sortKeys = true
        return try encoder.encode(value)
    }
}

/// A `v1` List of objects of several kinds.
struct DocumentList: Encodable {
    let apiVersion = "v1"
    let kind = "List"
    let items: [any Encodable & Sendable]

    private enum Key: String, CodingKey { case apiVersion, kind, items }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(apiVersion, forKey: .apiVersion)
        try container.encode(kind, forKey: .kind)
        var list = container.nestedUnkeyedContainer(forKey: .items)
        for item in items { try list.encode(item) }
    }
}

extension StatusReport {
    var list: DocumentList {
        DocumentList(
            items: sites.map { Envelope($0) } + links.map { Envelope($0) }
                + services.map { Envelope($0) } + undecodable.map(\.object.content)
        )
    }
}
