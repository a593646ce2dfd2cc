import CLinux
import Glibc
import NetworkModel

/// An `Endpoint` in the form that the kernel takes.
@safe
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var count = socklen_t(MemoryLayout<sockaddr_storage>.size)

    init() {}

    init(_ endpoint: Endpoint) {
        switch endpoint.address {
        case .v4(let address):
            var ipv4 = sockaddr_in()
            ipv4.sin_family = sa_family_t(AF_INET)
            ipv4.sin_port = endpoint.port.bigEndian
            ipv4.sin_addr.s_addr = address.bigEndian
            store(ipv4)
        case .v6(let high, let low):
            var ipv6 = sockaddr_in6()
            ipv6.sin6_family = sa_family_t(AF_INET6)
            ipv6.sin6_port = endpoint.port.bigEndian
            unsafe withUnsafeMutableBytes(of: &ipv6.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            store(ipv6)
        }
    }

    /// What the C library gave; longer addresses than any that we know are cut and come out as no endpoint.
    init(copying bytes: UnsafeRawBufferPointer) {
        unsafe withUnsafeMutableBytes(of: &storage) { storage in
            let count = min(bytes.count, storage.count)
            unsafe storage.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
    }

    private mutating func store<Address>(_ address: Address) {
        _ = unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe $0.baseAddress?.initializeMemory(as: Address.self, to: address)
        }
        count = socklen_t(MemoryLayout<Address>.size)
    }

    /// The endpoint; IPv4-mapped IPv6 addresses come out as the IPv4 addresses that they are.
    var endpoint: Endpoint? {
        switch Int32(storage.ss_family) {
        case AF_INET:
            let ipv4 = unsafe withUnsafeBytes(of: storage) { unsafe $0.load(as: sockaddr_in.self) }
            return Endpoint(
                address: .v4(UInt32(bigEndian: ipv4.sin_addr.s_addr)),
                port: UInt16(bigEndian: ipv4.sin_port)
            )
        case AF_INET6:
            let ipv6 = unsafe withUnsafeBytes(of: storage) { unsafe $0.load(as: sockaddr_in6.self) }
            let (high, low) = unsafe withUnsafeBytes(of: ipv6.sin6_addr) { bytes in
                unsafe (
                    UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
            let isMapped = high == 0 && low >> 32 == 0xFFFF
            return Endpoint(
                address: isMapped ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high, low),
                port: UInt16(bigEndian: ipv6.sin6_port)
            )
        default:
            return nil
        }
    }

    /// Lends the address to a call that reads it.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafePointer(to: storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, count)
            }
        }
    }

    /// Lends the address to a call that fills it in.
    mutating func withMutablePointer<Result>(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Result
    ) -> Result {
        count = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, &count)
            }
        }
    }
}
