package import FoundationEssentials

/// What the Secret `tieline-proxy` holds: the configuration with its place in time.
package struct ConfigurationDocument: Equatable, Sendable, Codable {
    /// The key of the document within the Secret and the name of its file when mounted.
    package static let fileName = "configuration.json"

    /// Increases by one with every change; the highest one wins, an older one is never applied.
    @Counted package var generation: UInt64
    /// The bearer key of `GET /v1/snapshot`.
    package var snapshotKey: String
    package var configuration: SiteConfiguration

    package init(generation: UInt64, snapshotKey: String, configuration: SiteConfiguration) {
        self.generation = generation
        self.snapshotKey = snapshotKey
        self.configuration = configuration
    }

    /// Canonical JSON: sorted keys, so that equal documents are equal bytes.
    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    /// Throws for a configuration that breaks the rules of `validate` too.
    package static func decode(_ bytes: Data) throws -> Self {
        let document = try JSONDecoder().decode(Self.self, from: bytes)
        try document.configuration.validate()
        return document
    }
}
