import DevnodeCore
import Glibc

/// The node's network: a bridge in a namespace of its own, with one veth pair per pod.
actor NodeNetwork {
    static let address = "10.244.0.1"
    static let apiAddress = "10.96.0.1"
    static let dnsAddress = "10.96.0.10"

    let node: NetworkNamespace
    private let tools: Tools
    private var pool: AddressPool
    private var number = 0

    /// The address, namespace and interface of a pod.
    struct Attachment: Sendable {
        let address: String
        let network: NetworkNamespace
        fileprivate let interface: String
    }

    init(tools: Tools) async throws {
        guard let pool = AddressPool(base: "10.244.0.0", prefix: 16, reserved: 1) else {
            preconditionFailure("the pod range does not parse")
        }
        self.tools = tools
        self.pool = pool
        node = try await NetworkNamespace.make()
        try await node.perform {
            for (name, value) in [
                ("ipv4/ip_forward", "1"), ("ipv4/conf/all/send_redirects", "0"),
                ("ipv4/conf/default/send_redirects", "0"), ("ipv6/conf/all/disable_ipv6", "1"),
                ("ipv6/conf/default/disable_ipv6", "1"),
                // Everything is routed; the bridge must not run the rules on its own as well.
                ("bridge/bridge-nf-call-iptables", "0"),
            ] {
                // A kernel without IPv6 or bridge filtering has no such file, and needs none.
                try? Files.write(value, to: "/proc/sys/net/\(name)")
            }
        }
        try await tools.ip(
            [
                "link set lo up",
                // Without one of its own a bridge takes the lowest address of its ports: it would change as
                // pods come, and those that remember the old one would not reach the node for seconds.
                "link add cni0 address 0a:58:0a:f4:00:01 type bridge",
                "addr add \(Self.address)/16 dev cni0",
                "link set cni0 up",
                "addr add \(Self.apiAddress)/32 dev lo",
                "addr add \(Self.dnsAddress)/32 dev lo",
                // Without a route the kernel says unreachable before any rule is asked.
                "route add 10.96.0.0/12 dev cni0 src \(Self.address)",
                "route add 172.30.0.0/16 dev cni0 src \(Self.address)",
            ],
            in: node
        )
    }

    /// Makes a pod's namespace and joins it to the bridge.
    ///
    /// The pod's address has a full-length prefix, so that pods reach each other through the node and its
    /// rules, also on the way back.
    func attach() async throws -> Attachment {
        guard let address = pool.take() else {
            throw SystemError(operation: "take a pod address", code: EADDRNOTAVAIL)
        }
        number += 1
        let interface = "veth\(number)"
        do {
            let network = try await NetworkNamespace.make()
            let path = "/proc/\(getpid())/fd/\(network.descriptor)"
            try await tools.ip(
                [
                    "link add \(interface) type veth peer name eth0 netns \(path)",
                    "link set \(interface) master cni0 up",
                ],
                in: node
            )
            try await tools.ip(
                [
                    "link set lo up",
                    "link set eth0 up",
                    "addr add \(address)/32 dev eth0",
                    "route add \(Self.address)/32 dev eth0 scope link",
                    "route add default via \(Self.address)",
                ],
                in: network
            )
            return Attachment(address: address, network: network, interface: interface)
        } catch {
            pool.free(address)
            throw error
        }
    }

    /// Takes a pod off the bridge; its address may be given to another pod later.
    func detach(_ attachment: Attachment) async {
        // The interface may be gone already with its namespace.
        try? await tools.ip(["link del \(attachment.interface)"], in: node)
        pool.free(attachment.address)
    }
}
