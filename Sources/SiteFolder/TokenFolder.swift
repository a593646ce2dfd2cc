import FoundationEssentials
package import KubernetesAPI
package import NetworkAPI

/// The tokens by which a plain site joins others: a folder in its state, with a file for each, as they were issued.
package struct TokenFolder: Sendable {
    package let path: String
    private let state: String

    private static let suffix = ".json"

    /// In the state folder of a plain site.
    package init(state: String) {
        self.state = state
        path = "\(state)/tokens"
    }

    /// What there is, by the name that Links call it.
    package struct Contents: Equatable, Sendable {
        package var tokens: [String: JoinToken] = [:]
        /// Why a file is none.
        package var problems: [String: String] = [:]

        package init() {}
    }

    package func read() -> Contents {
        var contents = Contents()
        for name in Files.names(in: path) where name.hasSuffix(Self.suffix) {
            let token = String(name.dropLast(Self.suffix.count))
            do {
                guard let data = try Files.read("\(path)/\(name)") else { continue }
                contents.tokens[token] = try Self.token(data)
            } catch {
                contents.problems[token] = "\(path)/\(name) is no token: \(error)"
            }
        }
        return contents
    }

    private static func token(_ data: Data) throws -> JoinToken {
        try JoinToken(try JSONDecoder().decode(Core.Secret.self, from: data))
    }

    /// Keeps the Secret that a token came in.
    package func store(_ secret: Core.Secret) throws {
        let owner = Files.Owner(of: state)
        try Files.makeDirectory(path, mode: 0o700, owner: owner)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try Files.replace(
            "\(path)/\(secret.metadata.name)\(Self.suffix)",
            with: try encoder.encode(Envelope(secret)) + Data("\n".utf8),
            owner: owner
        )
    }
}
