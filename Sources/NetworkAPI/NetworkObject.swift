package import KubernetesAPI
package import NetworkModel

/// The API group of Site, Link and Service.
package enum NetworkGroup {
    package static let name = "tieline.dev"
    package static let version = "v1alpha1"
    package static let apiVersion = "tieline.dev/v1alpha1"
}

/// What Site, Link and Service have in common.
package protocol NetworkObject: KubernetesObject {
    associatedtype Status: NetworkStatus
    var status: Status { get set }
}

/// What their statuses have in common.
package protocol NetworkStatus: Schema {
    var observedGeneration: Int64? { get set }
    var conditions: [Condition] { get set }
    /// The reason of the first condition that is not as wished, else Ready: what a table shows.
    var summary: String? { get set }
}

/// Connections now and ever; `opened` never falls while the object exists.
package struct ConnectionCounts: Hashable, Sendable, Codable {
    package var active: Int64
    package var opened: Int64

    package enum CodingKeys: String, CodingKey, CaseIterable { case active, opened }

    package init(active: Int64 = 0, opened: Int64 = 0) {
        self.active = active
        self.opened = opened
    }
}

/// How far one proxy instance's own counters are added into a status already, so that nothing counts twice.
package struct ProxyCursor: Hashable, Sendable, Codable {
    package var proxy: ProxyID
    package var opened: Int64?
    package var failed: Int64?
    /// The sequence number of the last failover record, or the number of link losses.
    package var failovers: Int64?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case proxy, opened, failed, failovers
    }

    package init(
        proxy: ProxyID,
        opened: Int64? = nil,
        failed: Int64? = nil,
        failovers: Int64? = nil
    ) {
        self.proxy = proxy
        self.opened = opened
        self.failed = failed
        self.failovers = failovers
    }
}
