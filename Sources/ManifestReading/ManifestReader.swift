import FoundationEssentials
import KubernetesAPI
import NetworkAPI
import Yams

/// Turns the YAML documents of one file into objects.
///
/// YAML becomes JSON first, so that a value means here what it means to the API server; a field that no type knows is an
/// error, as a misspelt field that is ignored is the worst kind.
struct ManifestReader {
    let file: String
    let otherKinds: Manifests.OtherKinds

    init(file: String, otherKinds: Manifests.OtherKinds) {
        self.file = file
        self.otherKinds = otherKinds
    }

    func read(document: Node, into manifests: inout Manifests) {
        if case .scalar(let scalar) = document, YAMLScalar.value(scalar) == .null { return }
        let document = merged(document)
        if document["kind"]?.string == "List", case .sequence(let items)? = document["items"] {
            for item in items { read(object: item, into: &manifests) }
        } else {
            read(object: document, into: &manifests)
        }
    }

    func read(object: Node, into manifests: inout Manifests) {
        let source = ManifestSource(file: file, object: object)
        func report(_ field: String, _ message: String) {
            manifests.problems.append(
                ManifestProblem(
                    file: source.file,
                    line: source.line(of: field),
                    field: field,
                    message: message
                )
            )
        }
        guard case .mapping = object else {
            return report("", "this is not an object; it begins with apiVersion and kind")
        }
        guard let version = object["apiVersion"]?.string, let kindName = object["kind"]?.string
        else { return report("", "apiVersion or kind is missing") }
        let kind = ObjectKind(rawValue: kindName)
        guard version.hasPrefix(NetworkGroup.name + "/"), let kind else {
            if otherKinds == .skip {
                manifests.skipped.append("\(kindName) \(object["metadata"]?["name"]?.string ?? "")")
                return
            }
            return report(
                "kind",
                "\(version) \(kindName) is not read here; only Site, Link and Service of "
                    + NetworkGroup.apiVersion
            )
        }
        guard version == NetworkGroup.apiVersion else {
            return report(
                "apiVersion",
                "\(version) is not known; write \(NetworkGroup.apiVersion)"
            )
        }
        let unusable = unusableFields(of: object, kind)
        guard unusable.isEmpty else {
            for field in unusable { report(field.path, field.message) }
            return
        }
        do {
            manifests.add(try decode(object, kind), source)
        } catch let problem as DecodingProblem {
            report(problem.field, problem.message)
        } catch {
            report("", "\(error)")
        }
    }

    private func decode(_ node: Node, _ kind: ObjectKind) throws -> ManifestObject {
        var json = try value(node, path: "")
        // What a file says about status is somebody's old observation.
        if case .object(var fields) = json {
            fields["status"] = nil
            json = .object(fields)
        }
        let bytes = try JSONEncoder().encode(json)
        do {
            let object: ManifestObject =
                switch kind {
                case .site: .site(try JSONDecoder().decode(Site.self, from: bytes))
                case .link: .link(try JSONDecoder().decode(Link.self, from: bytes))
                case .service: .service(try JSONDecoder().decode(Service.self, from: bytes))
                }
            guard !object.found.name.isEmpty else {
                throw DecodingProblem(field: "metadata.name", message: "metadata.name is missing")
            }
            return object
        } catch let error as DecodingError {
            throw DecodingProblem(error)
        }
    }

    /// The node with its merge keys (`<<`) carried out, as kubectl does: what stands in a map itself wins.
    func merged(_ node: Node) -> Node {
        switch node {
        case .sequence(var sequence):
            for index in sequence.indices { sequence[index] = merged(sequence[index]) }
            return .sequence(sequence)
        case .mapping(let mapping):
            var own: [(Node, Node)] = []
            var others: [(Node, Node)] = []
            for (key, value) in mapping {
                guard case .scalar(let scalar) = key, scalar.string == "<<", scalar.style == .plain
                else {
                    own.append((key, merged(value)))
                    continue
                }
                let maps = value.sequence.map(Array.init) ?? [value]
                for map in maps { others += merged(map).mapping.map(Array.init) ?? [] }
            }
            var known = Set(own.compactMap(\.0.string))
            for (key, value) in others where known.insert(key.string ?? "").inserted {
                own.append((key, value))
            }
            return .mapping(Node.Mapping(own, mapping.tag, mapping.style, mapping.mark))
        case .scalar, .alias: return node
        }
    }

    func json(_ document: Node) throws -> JSONValue { try value(merged(document), path: "") }

    /// The node as the JSON that the API server would make of it.
    private func value(_ node: Node, path: String) throws -> JSONValue {
        switch node {
        case .mapping(let mapping):
            var members: [String: JSONValue] = [:]
            for (key, element) in mapping {
                guard let name = key.string else {
                    throw DecodingProblem(field: path, message: "a key here is not a text")
                }
                members[name] = try value(element, path: path.isEmpty ? name : "\(path).\(name)")
            }
            return .object(members)
        case .sequence(let sequence):
            return .array(
                try sequence.enumerated().map { try value($1, path: "\(path)[\($0)]") }
            )
        case .scalar(let scalar):
            return YAMLScalar.value(scalar)
        case .alias:
            throw DecodingProblem(field: path, message: "this alias has no anchor")
        }
    }
}

/// A field that does not decode.
struct DecodingProblem: Error {
    var field: String
    var message: String

    init(field: String, message: String) {
        self.field = field
        self.message = message
    }

    init(_ error: DecodingError) {
        switch error {
        case .keyNotFound(let key, let context):
            field = Self.path(context.codingPath + [key])
            message = "\(field) is missing"
        case .typeMismatch(let type, let context):
            field = Self.path(context.codingPath)
            message = "\(field) must be \(Self.name(type))"
        case .valueNotFound(let type, let context):
            field = Self.path(context.codingPath)
            message = "\(field) is empty; it must be \(Self.name(type))"
        case .dataCorrupted(let context):
            field = Self.path(context.codingPath)
            message = context.debugDescription
        @unknown default:
            field = ""
            message = "\(error)"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.reduce(into: "") { path, key in
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
    }

    private static func name(_ type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a text"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any Sequence.Type: "a list or a map"
        default: "a \(type)"
        }
    }
}
