import NetworkModel

/// The address families of a cluster, its first one first.
package enum ClusterFamilies: String, CaseIterable, Sendable {
    case ipv4, ipv6, dual

    package var list: [ClusterFamily] {
        switch self {
        case .ipv4: [.ipv4]
        case .ipv6: [.ipv6]
        case .dual: [.ipv4, .ipv6]
        }
    }

    /// The one of Services that do not ask for another.
    package var first: ClusterFamily { self == .ipv6 ? .ipv6 : .ipv4 }
}

/// What a cluster has of one address family.
package struct ClusterFamily: Equatable, Sendable {
    /// As Services and EndpointSlices call it.
    package let name: String
    /// As nftables calls it.
    let keyword: String
    /// The prefix length of a single address.
    package let hostPrefix: Int
    /// The node, which is the pods' router.
    package let nodeAddress: String
    package let podRange: (base: String, prefix: Int)
    /// The ranges in which only Services live; the first one is the API server's to give.
    package let serviceRanges: [String]
    package let loopbackAddress: String
    package let apiAddress: String
    package let dnsAddress: String
    package let balancerRange: (base: String, prefix: Int)

    package static let ipv4 = ClusterFamily(
        name: "IPv4",
        keyword: "ip",
        hostPrefix: 32,
        nodeAddress: "10.244.0.1",
        podRange: ("10.244.0.0", 16),
        serviceRanges: ["10.96.0.0/12", "172.30.0.0/16"],
        loopbackAddress: "127.0.0.1",
        apiAddress: "10.96.0.1",
        dnsAddress: "10.96.0.10",
        balancerRange: ("172.30.0.0", 16)
    )

    package static let ipv6 = ClusterFamily(
        name: "IPv6",
        keyword: "ip6",
        hostPrefix: 128,
        nodeAddress: "fd00:10:244::1",
        podRange: ("fd00:10:244::", 112),
        serviceRanges: ["fd00:10:96::/112", "fd00:172:30::/112"],
        loopbackAddress: "::1",
        apiAddress: "fd00:10:96::1",
        dnsAddress: "fd00:10:96::a",
        balancerRange: ("fd00:172:30::", 112)
    )

    package static func == (left: Self, right: Self) -> Bool { left.name == right.name }

    /// Whether an address is of this family.
    package func has(_ address: String) -> Bool {
        IPAddress(address).map { $0.isV4 == (self == .ipv4) } ?? false
    }
}
