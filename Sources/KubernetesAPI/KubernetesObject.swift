/// Where a kind lives in the API.
package struct Resource: Hashable, Sendable {
    /// Empty for the core group.
    package let group: String
    package let version: String
    package let kind: String
    package let plural: String
    package let isNamespaced: Bool

    package init(
        group: String,
        version: String,
        kind: String,
        plural: String,
        isNamespaced: Bool = true
    ) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    /// As rights name it, and unlike any other: `deployments.apps`, `services.tieline.dev`, `services`.
    package var fullName: String { group.isEmpty ? plural : "\(plural).\(group)" }

    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The path of the collection, or of one object in it.
    ///
    /// A nil namespace means all of them (or a kind of the whole cluster), a nil name the collection;
    /// a subresource is such as `status`.
    package func path(
        namespace: String? = nil,
        name: String? = nil,
        subresource: String? = nil
    ) -> String {
        var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        if isNamespaced, let namespace { path += "/namespaces/\(percentEncoded(namespace))" }
        path += "/\(plural)"
        if let name { path += "/\(percentEncoded(name))" }
        if let subresource { path += "/\(subresource)" }
        return path
    }
}

/// An object with a kind and metadata, stored by the API server.
///
/// `apiVersion` and `kind` are not fields: the type says them, and `Envelope` writes them.
package protocol KubernetesObject: Codable, Equatable, Sendable {
    static var resource: Resource { get }
    var metadata: ObjectMeta { get set }
}

/// An object of which only the metadata is asked for: the server leaves the rest out.
package protocol MetadataOnly: KubernetesObject {}

extension KubernetesObject {
    package var key: ObjectKey { metadata.key }
}

/// An object together with its `apiVersion` and `kind`, as it goes over the wire.
package struct Envelope<Object: KubernetesObject>: Encodable {
    package let object: Object

    package init(_ object: Object) { self.object = object }

    private enum Key: String, CodingKey { case apiVersion, kind }

    package func encode(to encoder: any Encoder) throws {
        try object.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(Object.resource.apiVersion, forKey: .apiVersion)
        try container.encode(Object.resource.kind, forKey: .kind)
    }
}

/// Any object, reduced to what it says about itself.
///
/// For lists of unknown kinds (garbage collection) and for objects that do not decode.
package struct PartialObject: Codable, Equatable, Sendable {
    package var apiVersion: String?
    package var kind: String?
    package var metadata: ObjectMeta
}

/// Encodes all but the characters that RFC 3986 calls unreserved.
package func percentEncoded(_ text: String) -> String {
    let hexadecimal = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            bytes.append(byte)
        default:
            bytes += [UInt8(ascii: "%"), hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
