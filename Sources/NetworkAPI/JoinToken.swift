import FoundationEssentials
package import KubernetesAPI
package import NetworkModel

/// A token: what another site needs to be let in once, without an entry in `allow`.
package struct JoinToken: Hashable, Sendable {
    /// The name of what the issuing site keeps of it.
    package var grant: String
    /// What nobody else knows.
    package var secret: String
    /// The site that issued it.
    package var siteID: SiteID
    package var endpoints: [LinkEndpoint]
    package var expires: Timestamp

    package init(
        grant: String,
        secret: String,
        siteID: SiteID,
        endpoints: [LinkEndpoint],
        expires: Timestamp
    ) {
        self.grant = grant
        self.secret = secret
        self.siteID = siteID
        self.endpoints = endpoints
        self.expires = expires
    }

    private enum Field: String {
        case grant, secret, siteID, endpoints, expires
    }

    /// Reads the Secret that `secret(named:)` makes.
    package init(_ stored: Core.Secret) throws(TokenProblem) {
        func text(_ field: Field) throws(TokenProblem) -> String {
            guard let data = stored.data[field.rawValue],
                let text = String(bytes: data, encoding: .utf8), !text.isEmpty
            else { throw TokenProblem("it has no \(field.rawValue)") }
            return text
        }
        grant = try text(.grant)
        secret = try text(.secret)
        guard let site = SiteID(try text(.siteID)) else {
            throw TokenProblem("its siteID is none")
        }
        siteID = site
        guard let time = Timestamp(try text(.expires)) else {
            throw TokenProblem("its expires is no time")
        }
        expires = time
        let list = Data(try text(.endpoints).utf8)
        guard let read = try? JSONDecoder().decode([LinkEndpoint].self, from: list) else {
            throw TokenProblem("its endpoints are no list")
        }
        endpoints = read
    }

    /// The Secret in which it goes to the other site.
    package func secret(named name: String) throws -> Core.Secret {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let list = try encoder.encode(endpoints)
        return Core.Secret {
            $0.metadata = ObjectMeta { $0.name = name }
            $0.type = "Opaque"
            $0.data = [
                Field.grant.rawValue: Data(grant.utf8),
                Field.secret.rawValue: Data(secret.utf8),
                Field.siteID.rawValue: Data(siteID.text.utf8),
                Field.endpoints.rawValue: list,
                Field.expires.rawValue: Data("\(expires)".utf8),
            ]
        }
    }
}

/// Why a Secret is no token.
package struct TokenProblem: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
