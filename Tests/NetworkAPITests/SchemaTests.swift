import Foundation
import KubernetesAPI
import Testing
import Yams

@testable import NetworkAPI

@Suite("Custom resource definitions")
struct SchemaTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "manifests/crds")

    @Test("the schemas have exactly the fields of the types", arguments: ObjectKind.allCases)
    func schemas(kind: ObjectKind) throws {
        let resource: Resource =
            switch kind {
            case .site: Site.resource
            case .link: Link.resource
            case .service: Service.resource
            }
        let file = Self.folder.appending(path: "\(resource.plural).yaml")
        let document = try #require(
            try compose(yaml: String(contentsOf: file, encoding: .utf8))
        )
        #expect(document["spec"]?["group"]?.string == resource.group)
        #expect(document["spec"]?["names"]?["kind"]?.string == resource.kind)
        #expect(document["spec"]?["names"]?["plural"]?.string == resource.plural)
        let version = try #require(document["spec"]?["versions"]?.sequence?.first)
        #expect(version["name"]?.string == resource.version)
        let properties = try #require(version["schema"]?["openAPIV3Schema"]?["properties"])
        for (part, shape) in [("spec", kind.specShape), ("status", kind.statusShape)] {
            let schema = try #require(properties[part])
            #expect(Self.differences(schema, shape, path: part) == [])
        }
    }

    private static func differences(_ schema: Node, _ shape: Shape, path: String) -> [String] {
        switch shape {
        case .object(let fields):
            guard case .mapping(let properties)? = schema["properties"] else {
                return ["\(path): the schema has no properties"]
            }
            let there = Set(properties.compactMap(\.key.string))
            let wanted = Set(fields.keys)
            var found = there.symmetricDifference(wanted).sorted().map {
                "\(path).\($0): only in the \(there.contains($0) ? "schema" : "types")"
            }
            for name in there.intersection(wanted).sorted() {
                guard let inner = properties[name], let field = fields[name] else { continue }
                found += differences(inner, field, path: "\(path).\(name)")
            }
            return found
        case .list(let element):
            guard let items = schema["items"] else { return ["\(path): is no list in the schema"] }
            return differences(items, element, path: "\(path)[]")
        case .map:
            return schema["additionalProperties"] == nil
                ? ["\(path): is no map in the schema"] : []
        case .value, .number:
            return schema["properties"] == nil && schema["items"] == nil
                ? [] : ["\(path): is no plain value in the schema"]
        case .anything:
            return []
        }
    }
}
