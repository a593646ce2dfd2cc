import CYaml
package import KubernetesAPI
package import NetworkAPI
import Yams

/// The documents of a manifest file of any kinds, of which some are changed and the others stay to the byte.
///
/// In a document that is changed comments go; order, values and the style of texts stay.
package struct ManifestStream {
    private struct Document {
        /// As it stands in the file, with what is before the first one.
        var text: String
        var root: Node?
        var isChanged = false
    }

    private let file: String
    private var documents: [Document] = []

    package init(_ text: String, file: String) throws(ManifestProblem) {
        self.file = file
        let text = text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
        let reader = ManifestReader(file: file, otherKinds: .skip)
        do {
            try YAMLBounds.check(text)
            var roots: [Node] = []
            let parser = try Parser(yaml: text)
            while let node = try parser.nextRoot() { roots.append(reader.merged(node)) }
            let starts = YAMLBounds.documentStarts(text)
            let scalars = Array(text.unicodeScalars)
            for (index, root) in roots.enumerated() {
                let from = index == 0 ? 0 : starts[index]
                let to = index + 1 < starts.count ? starts[index + 1] : scalars.count
                var part = String.UnicodeScalarView()
                part.append(contentsOf: scalars[from..<to])
                documents.append(Document(text: String(part), root: root))
            }
            if roots.isEmpty { documents = [Document(text: text)] }
        } catch let excess as YAMLBounds.Excess {
            throw ManifestProblem(
                file: file,
                line: excess.line,
                field: "",
                message: excess.message
            )
        } catch {
            throw ManifestProblem(yaml: error, file: file)
        }
    }

    /// One object, of the document itself or of a List in it.
    package struct Object {
        package let json: JSONValue
        fileprivate let source: ManifestSource

        package var apiVersion: String { json["apiVersion"]?.string ?? "" }
        package var kind: String { json["kind"]?.string ?? "" }
        package var name: String { json["metadata"]?["name"]?.string ?? "" }
        package var namespace: String? { json["metadata"]?["namespace"]?.string }

        /// A problem of a field of this object.
        package func problem(_ field: String, _ message: String) -> ManifestProblem {
            ManifestProblem(
                file: source.file,
                line: source.line(of: field),
                field: field,
                message: "\(kind) \"\(name)\": \(message)"
            )
        }
    }

    /// The Services of `tieline.dev`, each with its namespace where it says one.
    package func services() throws(ManifestProblem) -> [Service] {
        var services: [Service] = []
        for document in documents {
            guard let root = document.root else { continue }
            for node in Self.objects(root) {
                // Each by itself: two namespaces may have a Service of one name.
                var manifests = Manifests()
                ManifestReader(file: file, otherKinds: .skip).read(object: node, into: &manifests)
                let isService = node["kind"]?.string == ObjectKind.service.rawValue
                if isService, let problem = manifests.problems.first { throw problem }
                services += manifests.services
            }
        }
        return services
    }

    /// Gives each object to `change`, which answers with what takes its place; nil: it stays.
    package mutating func change(
        _ change: (Object) throws -> JSONValue?
    ) throws {
        let reader = ManifestReader(file: file, otherKinds: .skip)
        for index in documents.indices {
            guard let root = documents[index].root else { continue }
            var isChanged = false
            let changed = try Self.map(root) { node in
                guard case .mapping = node else { return node }
                let json = try reader.json(node)
                let object = Object(json: json, source: ManifestSource(file: file, object: node))
                guard let new = try change(object), new != json else { return node }
                isChanged = true
                return try ManifestWriter.overlay(node, new, reader)
            }
            guard isChanged else { continue }
            documents[index].root = changed
            documents[index].isChanged = true
        }
    }

    /// The file with what was changed.
    package func text() throws -> String {
        var text = ""
        for document in documents {
            guard document.isChanged, let root = document.root else {
                text += document.text
                continue
            }
            if !text.isEmpty, !text.hasSuffix("\n") { text += "\n" }
            if !text.isEmpty || document.text.hasPrefix("---") { text += "---\n" }
            text += try ManifestWriter.text(root)
        }
        return text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"
    }

    private static func objects(_ root: Node) -> [Node] {
        guard isList(root) else { return [root] }
        return root["items"]?.sequence.map(Array.init) ?? []
    }

    private static func isList(_ node: Node) -> Bool {
        node["kind"]?.string == "List" && node["items"]?.sequence != nil
    }

    private static func map(_ root: Node, _ change: (Node) throws -> Node) throws -> Node {
        guard isList(root), case .mapping(let list) = root else { return try change(root) }
        let members = try list.map { key, value -> (Node, Node) in
            guard key.string == "items", case .sequence(let items) = value else {
                return (key, value)
            }
            return (key, .sequence(Node.Sequence(try items.map(change), .implicit, items.style)))
        }
        return .mapping(Node.Mapping(members, .implicit, list.style))
    }
}

extension YAMLBounds {
    /// Where documents begin, in characters of the text; empty documents have no beginning that can be told.
    static func documentStarts(_ text: String) -> [Int] {
        var text = text
        return text.withUTF8 { bytes in unsafe starts(bytes) }
    }

    private static func starts(_ text: UnsafeBufferPointer<UInt8>) -> [Int] {
        var starts: [Int] = []
        var parser = unsafe yaml_parser_t()
        guard unsafe yaml_parser_initialize(&parser) == 1 else { return [] }
        defer { unsafe yaml_parser_delete(&parser) }
        unsafe yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(&parser, text.baseAddress, text.count)
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(&parser, &event) == 1 else { return starts }
            defer { unsafe yaml_event_delete(&event) }
            switch unsafe event.type {
            case YAML_DOCUMENT_START_EVENT: unsafe starts.append(Int(event.start_mark.index))
            case YAML_STREAM_END_EVENT: return starts
            default: break
            }
        }
    }
}
