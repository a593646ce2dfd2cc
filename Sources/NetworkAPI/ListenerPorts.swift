package import NetworkModel
package import SiteConfiguration

/// Which port of the gateways belongs to which listening port of which Service object.
///
/// The lowest free port of `range` is taken. A port that is given up rests for ten minutes, so that clients of the old
/// service do not land at a new one while kube-proxy lags. What was given out is read back from the last configuration;
/// that is the only record.
package struct ListenerPorts: Equatable, Sendable {
    package static let range: ClosedRange<UInt16> = 10_000...31_999
    package static let rest: Duration = .seconds(600)

    /// A port of a Service object, by its number: another name makes no other port of it.
    package struct Key: Hashable, Comparable, Sendable {
        package let service: String
        package let port: UInt16

        package init(service: String, port: UInt16) {
            self.service = service
            self.port = port
        }

        package static func < (left: Self, right: Self) -> Bool {
            (left.service, left.port) < (right.service, right.port)
        }
    }

    package private(set) var assigned: [Key: UInt16] = [:]
    /// Until when a port rests.
    private var resting: [UInt16: Instant] = [:]

    /// Starts from what `record` gave out.
    package init(record: SiteConfiguration? = nil) {
        for service in record?.services ?? [] {
            for port in service.ports {
                guard let listen = port.listen, Self.range.contains(listen.port) else { continue }
                assigned[Key(service: service.name, port: port.port)] = listen.port
            }
        }
    }

    /// Gives a port to each of `keys` and takes back all others.
    ///
    /// Those without one are served in the order of `keys`. Returns the keys for which no port is left.
    package mutating func assign(_ keys: [Key], at now: Instant) -> [Key] {
        resting = resting.filter { $0.value > now }
        let wanted = Set(keys)
        for (key, port) in assigned where !wanted.contains(key) {
            assigned[key] = nil
            resting[port] = now + Self.rest
        }
        let taken = Set(assigned.values)
        var free = Self.range.lazy.filter { [resting] in
            !taken.contains($0) && resting[$0] == nil
        }.makeIterator()
        var refused: [Key] = []
        for key in keys where assigned[key] == nil {
            if let port = free.next() { assigned[key] = port } else { refused.append(key) }
        }
        return refused
    }
}
