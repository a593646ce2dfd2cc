/// What a proxy is to its site: the last word of the URI in its leaf, and the number of HELLO.
package enum ProxyRole: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// Speaks for its site over Links and to other gateways.
    case gateway = 0
    /// A sidecar: it speaks to the gateways of its own site only.
    case edge = 1

    /// Parses what `description` prints.
    package init?(_ text: some StringProtocol) {
        guard let role = Self.allCases.first(where: { $0.description == text }) else { return nil }
        self = role
    }

    package var description: String {
        switch self {
        case .gateway: "gateway"
        case .edge: "edge"
        }
    }
}
