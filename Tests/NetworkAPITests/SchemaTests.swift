import Foundation
import KubernetesAPI
import NetworkModel
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

    /// Fields of the schemas that a type of ours takes from a text, with texts at the edge of both.
    private typealias TextCase = (
        plural: String, path: [String], decodes: @Sendable (String) -> Bool, texts: [String]
    )

    private static let texts: [TextCase] =
        {
            let label = String(repeating: "a", count: 63)
            let durations = [
                "", "5", "s", "5s", "1h30m", "0s", "1.5s", "1.s", ".5s", "-1s", "5S", "5 s", "1m1",
                "999999999ms", "1000000000ms", "0000000001s", "0.123456789s", "0.1234567891s",
                "12345678901s", "5us", "1d",
            ]
            let names = [
                "", "a", "a.b", "a..b", ".a", "a.", "-a", "a-", "a_b", "A", label, label + "a",
                "\(label).\(label)", "a.\(label)a", "\(label)a.a",
                [label, label, label, label].joined(separator: "."), "1", "1.2.3.4",
            ]
            let identities = [
                "", String(repeating: "A", count: 26), String(repeating: "7", count: 26),
                String(repeating: "A", count: 25), String(repeating: "A", count: 27),
                String(repeating: "a", count: 26), String(repeating: "1", count: 26),
                String(repeating: "8", count: 26),
            ]
            @Sendable func duration(_ text: String) -> Bool { APIDuration(text) != nil }
            @Sendable func identity(_ text: String) -> Bool { SiteID(text) != nil }
            return [
                ("links", ["spec", "health", "heartbeat"], duration, durations),
                ("links", ["spec", "resumeGrace"], duration, durations),
                ("links", ["spec", "remoteSiteID"], identity, identities),
                ("links", ["spec", "nextRemoteSiteID"], identity, identities),
                (
                    "links", ["spec", "serviceCosts", "[]", "address"],
                    { ServiceAddress($0) != nil }, names
                ),
                ("sites", ["spec", "drain", "delay"], duration, durations),
                ("sites", ["spec", "drain", "grace"], duration, durations),
                ("sites", ["spec", "health", "heartbeat"], duration, durations),
                ("sites", ["spec", "allow", "[]", "siteID"], identity, identities),
                ("sites", ["spec", "sites", "[]", "siteID"], identity, identities),
                ("services", ["spec", "balancing", "slowStart"], duration, durations),
                ("services", ["spec", "timeouts", "connect"], duration, durations),
                ("services", ["spec", "timeouts", "idle"], duration, durations),
                ("services", ["spec", "timeouts", "halfClosed"], duration, durations),
                ("services", ["spec", "address"], { ServiceAddress($0) != nil }, names),
                ("services", ["spec", "ports", "[]", "name"], { PortName($0) != nil }, names),
            ]
        }()

    @Test("whatever a schema lets in, the types decode")
    func texts() throws {
        for (plural, path, decodes, texts) in Self.texts {
            let file = Self.folder.appending(path: "\(plural).yaml")
            var schema = try #require(
                try compose(yaml: String(contentsOf: file, encoding: .utf8))?["spec"]?["versions"]?
                    .sequence?.first?["schema"]?["openAPIV3Schema"]
            )
            for step in path {
                schema = try #require(
                    step == "[]" ? schema["items"] : schema["properties"]?[step],
                    "\(plural) \(path)"
                )
            }
            let pattern = try NSRegularExpression(
                pattern: try #require(schema["pattern"]?.string, "\(plural) \(path)")
            )
            let longest = try #require(schema["maxLength"]?.int, "\(plural) \(path)")
            var taken = 0
            for text in texts {
                let range = NSRange(text.startIndex..., in: text)
                guard pattern.firstMatch(in: text, range: range)?.range == range,
                    text.utf8.count <= longest, text.utf8.count >= schema["minLength"]?.int ?? 0
                else { continue }
                taken += 1
                #expect(decodes(text), "\(plural) \(path.joined(separator: ".")): \(text)")
            }
            #expect(taken > 1, "\(plural) \(path)")
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
