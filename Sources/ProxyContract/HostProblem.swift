package import NetworkModel

/// Why a host that a Service lists is not used, or not wholly, and what to do about it.
package struct HostProblem: Codable, Hashable, Sendable {
    package enum Reason: String, OpenEnumeration, Sendable, CaseIterable {
        /// The name has no address now; its last ones are used.
        case unresolved = "HostUnresolved"
        /// No server can have this address, or this site itself has it.
        case refused = "HostRefused"
        /// Connections to it come back to this proxy.
        case leadsToItself = "LeadsToItself"

        /// The message beside it says what it is.
        package static let unknown = Self.refused
    }

    package var host: String
    package var reason: Reason
    package var message: String
    /// The epoch: since the configuration was applied.
    @WallTime package var since: Timestamp

    package init(
        _ host: String,
        _ reason: Reason,
        _ message: String,
        since: Timestamp = .epoch
    ) {
        self.host = host
        self.reason = reason
        self.message = message
        self.since = since
    }

    package static func remedy(_ endpoint: Endpoint) -> String {
        "connections to \(endpoint) come back to this proxy: list the servers' own addresses in hosts"
    }
}
