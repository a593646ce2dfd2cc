/// What a proxy is to its site: the last word of the URI in its leaf, and the number of HELLO.
package enum ProxyRole: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// Speaks for its site over Links and to other gateways.
    case gateway = 0
    /// A sidecar: it speaks to the gateways of its own site only.
    case sidecar = 1

    /// Parses what `description` prints.
    package init?(_ text: some StringProtocol) {
        guard let role = Self.allCases.first(where: { $0.description == text }) else { return nil }
        self = role
    }

    package var description: String {
        switch self {
        case .gateway: "gateway"
        case .sidecar: "sidecar"
        }
    }
}

/// The one URI in a leaf: which site's proxy it is, and in which role.
package struct LeafName: Hashable, Sendable, CustomStringConvertible {
    private static let prefix = "spiffe://tieline/site/"

    package let site: SiteID
    package let role: ProxyRole

    package init(site: SiteID, role: ProxyRole) {
        self.site = site
        self.role = role
    }

    /// Parses what `description` prints.
    package init?(_ uri: String) {
        guard uri.hasPrefix(Self.prefix) else { return nil }
        let parts = uri.dropFirst(Self.prefix.count)
            .split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let site = SiteID(String(parts[0])), let role = ProxyRole(parts[1])
        else { return nil }
        self.init(site: site, role: role)
    }

    package var description: String { "\(Self.prefix)\(site)/\(role)" }
}
