import KubernetesAPI

/// Gives each service of a Pod an address of its loopback network, 127.84.0.0/16.
///
/// The address follows from the name; where two names would have the same one, the later name takes the next. So a service
/// has the same address in almost every Pod, and no two of a Pod are alike.
enum LoopbackAddresses {
    private static let prefix = "127.84."
    private static let count: UInt32 = 256 * 254

    static func isOurs(_ address: String) -> Bool { address.hasPrefix(prefix) }

    static func assign(_ names: some Sequence<String>) -> [String: String] {
        var taken: Set<UInt32> = []
        var addresses: [String: String] = [:]
        for name in names.sorted() where addresses[name] == nil {
            var number = StableHash.bits32(name.utf8) % count
            while !taken.insert(number).inserted { number = (number + 1) % count }
            addresses[name] = "\(prefix)\(number / 254).\(number % 254 + 1)"
        }
        return addresses
    }
}
