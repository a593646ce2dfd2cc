import Glibc
import NetworkModel

enum LocalAddresses {
    /// The addresses of this host's interfaces.
    static func current() -> Set<IPAddress> {
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
