import CLinux
import Glibc
import NetworkModel

/// Which addresses cannot be servers of `hosts`: those of this proxy, and those that are no host's.
///
/// Pure.
struct HostRules: Equatable {
    /// Gateways in a cluster have addresses of their own: none of them is a server.
    var isInCluster = false
    /// Of the site: its gateways, and the core Services that lead to them.
    var own: Set<IPAddress> = []
    /// Of this host, or pod.
    var local: Set<IPAddress> = []
    /// Where this proxy listens.
    var listeners: Set<ListenPlace> = []

    /// Why `endpoint` is not used, and what to do; nil when it may be.
    func objection(to endpoint: Endpoint) -> String? {
        let address = endpoint.address
        if let nature = address.specialUse {
            return "\(address) is \(nature): give the server's own address"
        }
        if own.contains(address) {
            return "\(address) leads to this site's gateways: give the servers' own addresses"
        }
        let isHere = address.isLoopback || local.contains(address)
        if isInCluster, isHere {
            return "\(address) is the gateway itself: give the server's own address"
        }
        let isListener =
            listeners.contains(ListenPlace(address: address, port: endpoint.port))
            || isHere && listeners.contains(ListenPlace(address: nil, port: endpoint.port))
        if isListener {
            return "\(endpoint) is where this proxy itself listens: give the server another"
                + " targetPort, or the Service another port"
        }
        return nil
    }

    /// The addresses of this host's interfaces.
    static func localAddresses() -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var found: Set<IPAddress> = []
        var next = unsafe list
        while let entry = unsafe next {
            unsafe next = unsafe entry.pointee.ifa_next
            guard let address = unsafe entry.pointee.ifa_addr else { continue }
            let count: Int
            switch unsafe Int32(address.pointee.sa_family) {
            case AF_INET: count = MemoryLayout<sockaddr_in>.size
            case AF_INET6: count = MemoryLayout<sockaddr_in6>.size
            default: continue
            }
            let bytes = unsafe UnsafeRawBufferPointer(start: address, count: count)
            if let known = unsafe SocketAddress(copying: bytes).endpoint?.address {
                found.insert(known)
            }
        }
        return found
    }
}
