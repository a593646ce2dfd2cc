import DevnodeCore
import Glibc

/// The node's network: a bridge in a namespace of its own, with one veth pair per pod.
actor NodeNetwork {
    let families: [ClusterFamily]
    let node: NetworkNamespace
    private let tools: Tools
    private var pools: [AddressPool]
    private var number = 0

    /// The addresses, one of each family, namespace and interface of a pod.
    struct Attachment: Sendable {
        let addresses: [String]
        let network: NetworkNamespace
        fileprivate let interface: String
    }

    init(families: ClusterFamilies, tools: Tools) async throws {
        self.families = families.list
        self.tools = tools
        pools = families.list.map { family in
            let (base, prefix) = family.podRange
            guard let pool = AddressPool(base: base, prefix: prefix, reserved: 1) else {
                preconditionFailure("the pod range \(base)/\(prefix) does not parse")
            }
            return pool
        }
        node = try await NetworkNamespace.make()
        let hasIPv6 = families.list.contains(.ipv6)
        try await node.set([
            ("ipv4/ip_forward", "1"), ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv6/conf/all/disable_ipv6", hasIPv6 ? "0" : "1"),
            ("ipv6/conf/default/disable_ipv6", hasIPv6 ? "0" : "1"),
            ("ipv6/conf/all/forwarding", "1"),
            // Everything is routed; the bridge must not run the rules on its own as well.
            ("bridge/bridge-nf-call-iptables", "0"), ("bridge/bridge-nf-call-ip6tables", "0"),
        ])
        try await tools.ip(
            [
                "link set lo up",
                // Without one of its own a bridge takes the lowest address of its ports: it would change as
                // pods come, and those that remember the old one would not reach the node for seconds.
                "link add cni0 address 0a:58:0a:f4:00:01 type bridge", "link set cni0 up",
            ] + families.list.flatMap(\.nodeLines),
            in: node
        )
    }

    /// The node's addresses.
    nonisolated var addresses: [String] { families.map(\.nodeAddress) }

    /// Makes a pod's namespace and joins it to the bridge.
    ///
    /// The pod's address has a full-length prefix, so that pods reach each other through the node and its
    /// rules, also on the way back.
    func attach() async throws -> Attachment {
        let addresses = pools.indices.compactMap { pools[$0].take() }
        guard addresses.count == families.count else {
            free(addresses)
            throw SystemError(operation: "take a pod address", code: EADDRNOTAVAIL)
        }
        number += 1
        let interface = "veth\(number)"
        do {
            let network = try await NetworkNamespace.make()
            // A packet that goes on to another pod leaves the node where it came in: IPv6 then tells the sender of a
            // shorter way, which leads past the rules.
            try await network.set([("ipv6/conf/default/accept_redirects", "0")])
            try await tools.ip(
                [
                    "link add \(interface) type veth peer name eth0 netns \(network.path)",
                    "link set \(interface) master cni0 up",
                ],
                in: node
            )
            try await tools.ip(
                ["link set lo up", "link set eth0 up"]
                    + zip(families, addresses).flatMap { $0.podLines($1) },
                in: network
            )
            return Attachment(addresses: addresses, network: network, interface: interface)
        } catch {
            free(addresses)
            throw error
        }
    }

    /// Takes a pod off the bridge; its address may be given to another pod later.
    func detach(_ attachment: Attachment) async {
        // The interface may be gone already with its namespace.
        try? await tools.ip(["link del \(attachment.interface)"], in: node)
        free(attachment.addresses)
    }

    private func free(_ addresses: [String]) {
        // Each is of one pool's range only.
        for index in pools.indices { addresses.forEach { pools[index].free($0) } }
    }
}

extension ClusterFamily {
    /// What `ip -batch` does on the node.
    fileprivate var nodeLines: [String] {
        ["addr add \(nodeAddress)/\(podRange.prefix) dev cni0\(quick)"]
            + [apiAddress, dnsAddress].map { "addr add \($0)/\(hostPrefix) dev lo\(quick)" }
            // Without a route the kernel says unreachable before any rule is asked.
            + serviceRanges.map { "route add \($0) dev cni0 src \(nodeAddress)" }
    }

    /// The same in a pod.
    fileprivate func podLines(_ address: String) -> [String] {
        [
            "addr add \(address)/\(hostPrefix) dev eth0\(quick)",
            "route add \(nodeAddress)/\(hostPrefix) dev eth0\(self == .ipv4 ? " scope link" : "")",
            "route add default via \(nodeAddress) dev eth0",
        ]
    }

    /// Nobody else has the address: it need not be asked for first, for a second.
    private var quick: String { self == .ipv6 ? " nodad" : "" }
}
