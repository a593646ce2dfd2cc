package import NetworkModel
package import ProxyContract

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
    /// The ports that are assigned or rest; and a number below which there is no other.
    private var taken: Set<UInt16> = []
    private var lowest = Self.range.lowerBound

    /// Starts from what `record` gave out.
    package init(record services: [ServiceConfiguration] = []) {
        for service in services {
            for port in service.ports {
                guard let listen = port.listen, Self.range.contains(listen.port),
                    taken.insert(listen.port).inserted
                else { continue }
                assigned[Key(service: service.name, port: port.port)] = listen.port
            }
        }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.assigned == right.assigned && left.resting == right.resting
    }

    /// Gives a port to each of `keys` and takes back all others.
    ///
    /// Those without one are served in the order of `keys`. Returns the keys for which no port is left.
    package mutating func assign(_ keys: [Key], at now: Instant) -> [Key] {
        assign(keys, releasing: Set(assigned.keys).subtracting(keys), at: now)
    }

    /// Takes back the ports of `gone`, then gives one to each of `keys` that has none; all others stay as they are.
    package mutating func assign(
        _ keys: [Key],
        releasing gone: Set<Key>,
        at now: Instant
    ) -> [Key] {
        for (port, end) in resting where end <= now {
            resting[port] = nil
            taken.remove(port)
            lowest = min(lowest, port)
        }
        for key in gone {
            guard let port = assigned.removeValue(forKey: key) else { continue }
            resting[port] = now + Self.rest
        }
        var refused: [Key] = []
        for key in keys where assigned[key] == nil {
            if let port = nextFree() { assigned[key] = port } else { refused.append(key) }
        }
        return refused
    }

    private mutating func nextFree() -> UInt16? {
        while lowest <= Self.range.upperBound {
            defer { lowest += 1 }
            if taken.insert(lowest).inserted { return lowest }
        }
        return nil
    }
}
