import KubernetesAPI
package import NetworkAPI
import Yams

/// Site, Link and Service objects read from files, with where they stand.
package struct Manifests: Sendable {
    package var sites: [Site] = []
    package var links: [Link] = []
    package var services: [Service] = []
    /// In the order of files and lines; empty when everything could be read.
    package var problems: [ManifestProblem] = []
    /// Names of objects of other kinds, which were passed over.
    package var skipped: [String] = []
    private var sources: [FoundObject: ManifestSource] = [:]

    package init() {}

    /// How many objects were read.
    package var objectCount: Int { sites.count + links.count + services.count }

    /// The file that an object stands in; nil for one that was not read.
    package func file(of kind: ObjectKind, _ name: String) -> String? {
        sources[FoundObject(kind: kind, name: name)]?.file
    }

    /// The names, without folder, of the files that hold an object.
    package var fileNames: Set<String> {
        Set(sources.values.map { String($0.file.split(separator: "/").last ?? "") })
    }

    /// What is done with objects of other kinds.
    package enum OtherKinds: Sendable {
        case refuse
        case skip
    }

    /// Reads the documents of one file; what cannot be read becomes a problem.
    package mutating func read(_ text: String, file: String, otherKinds: OtherKinds = .refuse) {
        let reader = ManifestReader(file: file, otherKinds: otherKinds)
        do {
            // An editor's byte order mark is not part of the first key.
            let text = text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
            try YAMLBounds.check(text)
            let parser = try Parser(yaml: text)
            while let node = try parser.nextRoot() { reader.read(document: node, into: &self) }
        } catch let excess as YAMLBounds.Excess {
            problems.append(
                ManifestProblem(file: file, line: excess.line, field: "", message: excess.message)
            )
        } catch {
            problems.append(ManifestProblem(yaml: error, file: file))
        }
    }

    /// The documents of a text as the JSON that they stand for.
    static func json(of text: String) throws -> [JSONValue] {
        let reader = ManifestReader(file: "", otherKinds: .refuse)
        try YAMLBounds.check(text)
        let parser = try Parser(yaml: text)
        var documents: [JSONValue] = []
        while let node = try parser.nextRoot() { documents.append(try reader.json(node)) }
        return documents
    }

    /// Where the field of a finding stands in the files.
    package func problem(for finding: Finding) -> ManifestProblem {
        guard let source = sources[finding.object] else {
            return ManifestProblem(
                file: "",
                line: 0,
                field: finding.field,
                message: finding.message
            )
        }
        return ManifestProblem(
            file: source.file,
            line: source.line(of: finding.field),
            field: finding.field,
            message: "\(finding.object): \(finding.message)"
        )
    }

    /// Takes in an object that was read at `source`; a second one of that name is a problem.
    mutating func add(_ object: ManifestObject, _ source: ManifestSource) {
        let found = object.found
        if let other = sources[found] {
            problems.append(
                ManifestProblem(
                    file: source.file,
                    line: source.line(of: "metadata.name"),
                    field: "metadata.name",
                    message:
                        "\(found) stands in \(other.file), line \(other.line(of: "metadata.name")), "
                        + "as well; remove or rename one"
                )
            )
            return
        }
        sources[found] = source
        switch object {
        case .site(let site): sites.append(site)
        case .link(let link): links.append(link)
        case .service(let service): services.append(service)
        }
    }
}

/// Something in a file that cannot be used.
package struct ManifestProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// From 1; 0 when it is not about a line.
    package var line: Int
    /// Such as `spec.cost`; empty when it is not about a field.
    package var field: String
    package var message: String

    package init(file: String, line: Int, field: String, message: String) {
        self.file = file
        self.line = line
        self.field = field
        self.message = message
    }

    /// `east.yaml:12: spec.cost: a link's cost is 1...1000000, not 0`.
    package var description: String {
        var text = file
        if line > 0 { text += ":\(line)" }
        if !text.isEmpty { text += ": " }
        if !field.isEmpty, !message.hasPrefix(field) { text += "\(field): " }
        return text + message
    }
}

/// One object of a file.
enum ManifestObject {
    case site(Site)
    case link(Link)
    case service(Service)

    var found: FoundObject {
        switch self {
        case .site(let site): FoundObject(kind: .site, name: site.metadata.name)
        case .link(let link): FoundObject(kind: .link, name: link.metadata.name)
        case .service(let service): FoundObject(kind: .service, name: service.metadata.name)
        }
    }
}
