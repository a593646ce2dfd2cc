package import KubernetesAPI
import NetworkModel

/// The names of a cluster and their addresses, as an immutable value.
package struct DNSZone: Sendable, Equatable {
    static let domain = ["cluster", "local"]

    /// Addresses by namespace and service.
    private var services: [String: [String: [[UInt8]]]] = [:]

    package init() {}

    /// The names of namespaces exist even without a Service in them.
    package init(
        namespaces: [String],
        services: [Core.Service],
        slices: [Discovery.EndpointSlice]
    ) {
        for name in namespaces { self.services[name] = [:] }
        var ready: [ObjectKey: Set<String>] = [:]
        for slice in slices where slice.addressType != "FQDN" {
            guard let key = slice.serviceKey else { continue }
            for endpoint in slice.endpoints where endpoint.conditions.isReady {
                ready[key, default: []].formUnion(endpoint.addresses)
            }
        }
        for service in services where service.spec.type != "ExternalName" {
            let texts: [String]
            if service.spec.isHeadless {
                texts = (ready[service.key] ?? []).sorted()
            } else {
                texts = service.spec.addresses
            }
            let namespace = service.metadata.namespace ?? ""
            self.services[namespace, default: [:]][service.metadata.name] = texts.compactMap {
                IPAddress($0)?.bytes
            }
        }
    }

    /// Answers a question about one name: `NAME.NAMESPACE.svc` with or without `cluster.local`.
    package func answer(name: String, type: UInt16) -> DNSAnswer {
        var labels = name.split(separator: ".").map(String.init)
        if labels.suffix(2) == Self.domain[...] { labels.removeLast(2) }
        // `cluster.local` itself and `svc` under it have names below them, so they exist.
        if labels.isEmpty { return name.isEmpty ? .unknown : .exists() }
        guard labels.last == "svc" else { return .unknown }
        labels.removeLast()
        switch labels.count {
        case 0: return .exists()
        case 1: return services[labels[0]] == nil ? .unknown : .exists()
        case 2:
            guard let addresses = services[labels[1]]?[labels[0]] else { return .unknown }
            return .exists(addresses.filter { Self.answers(type, $0) })
        default: return .unknown
        }
    }

    private static func answers(_ type: UInt16, _ address: [UInt8]) -> Bool {
        switch type {
        case DNSQuery.a: address.count == 4
        case DNSQuery.aaaa: address.count == 16
        default: type == 255
        }
    }
}

extension DNSAnswer {
    /// The same addresses beginning with another one, so that clients that take the first are spread.
    package func rotated(by count: Int) -> DNSAnswer {
        guard addresses.count > 1 else { return self }
        let start = count % addresses.count
        return DNSAnswer(
            addresses: Array(addresses[start...] + addresses[..<start]),
            code: code
        )
    }
}

extension IPAddress {
    /// As they stand in packets.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .v4(let value): Self.bytes(of: value)
        case .v6(let upper, let lower): Self.bytes(of: upper) + Self.bytes(of: lower)
        }
    }

    private static func bytes(of value: some FixedWidthInteger) -> [UInt8] {
        stride(from: value.bitWidth - 8, through: 0, by: -8).map {
            UInt8(truncatingIfNeeded: value >> $0)
        }
    }
}

extension Core.ServiceSpec {
    /// The addresses of a Service that is not headless.
    var addresses: [String] {
        clusterIPs.isEmpty ? clusterIP.map { [$0] } ?? [] : clusterIPs
    }
}
