package import FoundationEssentials

/// The whole configuration of a site's gateways with its place in time.
package struct ConfigurationDocument: Equatable, Sendable {
    /// The key of the head within its Secret, and the name of its file when mounted.
    package static let fileName = "configuration.json"

    /// Increases by one with every change; the highest one wins, an older one is never applied.
    @Counted package var generation: UInt64
    /// The bearer key of `GET /v1/snapshot`.
    package var snapshotKey: String
    /// Without its services where they are in parts.
    package var configuration: SiteConfiguration
    /// The services in their parts; nil: they are few, and in `configuration`.
    package var parts: [ConfigurationPart]?

    package init(
        generation: UInt64,
        snapshotKey: String,
        configuration: SiteConfiguration,
        parts: [ConfigurationPart]? = nil
    ) {
        self.generation = generation
        self.snapshotKey = snapshotKey
        self.configuration = configuration
        self.parts = parts
    }

    package var serviceCount: Int {
        parts.map { $0.reduce(0) { $0 + $1.services.count } } ?? configuration.services.count
    }

    package var head: ConfigurationHead {
        ConfigurationHead(
            generation: generation,
            snapshotKey: snapshotKey,
            configuration: configuration,
            parts: parts.map { $0.map(\.digest) }
        )
    }

    /// The head as it is written down; without parts that is everything.
    package func encoded() throws -> Data { try head.encoded() }

    /// Reads a document that is whole in its head.
    package static func decode(_ bytes: Data) throws -> Self {
        let head = try ConfigurationHead.decode(bytes)
        guard let document = head.document(parts: { _ in nil }) else {
            throw ConfigurationProblem("the services of the configuration are elsewhere")
        }
        return document
    }
}

/// What the Secret `tieline-proxy` holds: everything but the services, once these are many.
///
/// Then it names the content of each part, so that all parts together are of one moment. Such a head has its configuration
/// under another name: a proxy that knows nothing of parts finds none, keeps what it has, and says so.
package struct ConfigurationHead: Equatable, Sendable {
    @Counted package var generation: UInt64
    package var snapshotKey: String
    package var configuration: SiteConfiguration
    /// The digest of each part, in order; nil: the services are in `configuration`.
    package var parts: [String]?

    package init(
        generation: UInt64,
        snapshotKey: String,
        configuration: SiteConfiguration,
        parts: [String]?
    ) {
        self.generation = generation
        self.snapshotKey = snapshotKey
        self.configuration = configuration
        self.parts = parts
    }

    /// The document, when every part is at hand.
    package func document(parts find: (String) -> ConfigurationPart?) -> ConfigurationDocument? {
        var found: [ConfigurationPart]?
        if let parts {
            let all = parts.compactMap(find)
            guard all.count == parts.count else { return nil }
            found = all
        }
        return ConfigurationDocument(
            generation: generation,
            snapshotKey: snapshotKey,
            configuration: configuration,
            parts: found
        )
    }

    /// Canonical JSON: sorted keys, so that equal heads are equal bytes.
    package func encoded() throws -> Data { try JSONEncoder.canonical.encode(self) }

    /// Throws for a configuration that breaks the rules of `validate` too.
    package static func decode(_ bytes: Data) throws -> Self {
        let head = try JSONDecoder().decode(Self.self, from: bytes)
        try head.configuration.validate()
        return head
    }
}

extension ConfigurationHead: Codable {
    private enum Key: String, CodingKey {
        case generation, snapshotKey, configuration
        case withoutServices = "configurationWithoutServices"
        case parts
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        generation = try container.decode(Counted.self, forKey: .generation).wrappedValue
        snapshotKey = try container.decode(String.self, forKey: .snapshotKey)
        parts = try container.decodeIfPresent([String].self, forKey: .parts)
        configuration = try container.decode(
            SiteConfiguration.self,
            forKey: parts == nil ? .configuration : .withoutServices
        )
        guard parts.map({ ConfigurationPart.counts.contains($0.count) }) ?? true else {
            throw DecodingError.dataCorruptedError(
                forKey: .parts,
                in: container,
                debugDescription: "the number of parts is not a power of two from 1 to 64"
            )
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(Counted(wrappedValue: generation), forKey: .generation)
        try container.encode(snapshotKey, forKey: .snapshotKey)
        try container.encodeIfPresent(parts, forKey: .parts)
        try container.encode(
            configuration,
            forKey: parts == nil ? .configuration : .withoutServices
        )
    }
}

extension JSONEncoder {
    static var canonical: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
