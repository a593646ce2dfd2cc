package import NetworkModel

// The JSON form of the configuration: plain names, durations in milliseconds, identities as their text.

extension ServiceConfiguration.Provider: Codable {
    private enum Key: String, CodingKey { case endpointSlices, hosts }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        if let service = try container.decodeIfPresent(String.self, forKey: .endpointSlices) {
            self = .endpointSlices(service: service)
        } else {
            self = .hosts(try container.decode([String].self, forKey: .hosts))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch self {
        case .endpointSlices(let service): try container.encode(service, forKey: .endpointSlices)
        case .hosts(let hosts): try container.encode(hosts, forKey: .hosts)
        }
    }
}

extension HealthParameters: Codable {
    private enum Key: String, CodingKey { case heartbeatMilliseconds, misses }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        self.init(
            heartbeat: try container.decodeMilliseconds(.heartbeatMilliseconds),
            misses: try container.decode(Int.self, forKey: .misses)
        )
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(heartbeat.milliseconds, forKey: .heartbeatMilliseconds)
        try container.encode(misses, forKey: .misses)
    }
}

extension AutoCost.Bounds: Codable {
    private enum Key: String, CodingKey { case min, max }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let least = try container.decode(LinkCost.self, forKey: .min)
        let most = try container.decode(LinkCost.self, forKey: .max)
        guard let bounds = Self(least: least, most: most) else {
            throw ConfigurationProblem("autoCost has a min of \(least) above its max of \(most)")
        }
        self = bounds
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(least, forKey: .min)
        try container.encode(most, forKey: .max)
    }
}

extension DrainParameters: Codable {
    private enum Key: String, CodingKey { case delayMilliseconds, graceMilliseconds }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        self.init(
            delay: try container.decodeMilliseconds(.delayMilliseconds),
            grace: try container.decodeMilliseconds(.graceMilliseconds)
        )
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(delay.milliseconds, forKey: .delayMilliseconds)
        try container.encode(grace.milliseconds, forKey: .graceMilliseconds)
    }
}

extension ServiceTimeouts: Codable {
    private enum Key: String, CodingKey {
        case connectMilliseconds, idleMilliseconds, halfClosedMilliseconds
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        self.init(
            connect: try container.decodeMilliseconds(.connectMilliseconds),
            idle: try container.decodeMilliseconds(.idleMilliseconds),
            halfClosed: try container.decodeMilliseconds(.halfClosedMilliseconds)
        )
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(connect.milliseconds, forKey: .connectMilliseconds)
        try container.encode(idle.milliseconds, forKey: .idleMilliseconds)
        try container.encode(halfClosed.milliseconds, forKey: .halfClosedMilliseconds)
    }
}

extension BalancingPolicy: Codable {
    private enum Key: String, CodingKey {
        case weightBy, weights, costs, tiers, minReadyEndpoints, slowStartMilliseconds, sites
        case loadFrom
    }

    private struct Number: Codable {
        let site: SiteID
        let value: UInt32
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let numbers = { (key: Key) throws -> [SiteID: UInt32] in
            let list = try container.decodeIfPresent([Number].self, forKey: key) ?? []
            return Dictionary(list.map { ($0.site, $0.value) }, uniquingKeysWith: { $1 })
        }
        let weightBy = try container.decodeIfPresent(String.self, forKey: .weightBy)
        let sites = try container.decodeIfPresent([SiteID].self, forKey: .sites)
        let loadFrom = try container.decodeIfPresent(String.self, forKey: .loadFrom)
        let hasSlowStart = container.contains(.slowStartMilliseconds)
        self.init(
            weightBy: weightBy.flatMap(WeightBy.init) ?? .endpoints,
            weights: try numbers(.weights),
            costs: try numbers(.costs).mapValues { PathCost($0) },
            tiers: try container.decodeIfPresent([[SiteID]].self, forKey: .tiers) ?? [],
            minReadyEndpoints: try container.decodeIfPresent(
                UInt32.self,
                forKey: .minReadyEndpoints
            ) ?? 1,
            slowStart: hasSlowStart
                ? try container.decodeMilliseconds(.slowStartMilliseconds) : .zero,
            sites: sites.map(Set.init),
            loadFrom: loadFrom.flatMap(LoadFrom.init) ?? .thisSite
        )
    }

    /// What is standard is left out; what has no order is sorted.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        let numbers = { (values: [SiteID: UInt32]) in
            values.sorted { $0.key < $1.key }.map { Number(site: $0.key, value: $0.value) }
        }
        if weightBy != .endpoints { try container.encode(weightBy.rawValue, forKey: .weightBy) }
        if !weights.isEmpty { try container.encode(numbers(weights), forKey: .weights) }
        if !costs.isEmpty {
            try container.encode(numbers(costs.mapValues(\.value)), forKey: .costs)
        }
        if !tiers.isEmpty { try container.encode(tiers, forKey: .tiers) }
        if minReadyEndpoints != 1 {
            try container.encode(minReadyEndpoints, forKey: .minReadyEndpoints)
        }
        if loadFrom != .thisSite { try container.encode(loadFrom.rawValue, forKey: .loadFrom) }
        if slowStart != .zero {
            try container.encode(slowStart.milliseconds, forKey: .slowStartMilliseconds)
        }
        try container.encodeIfPresent(sites?.sorted(), forKey: .sites)
    }
}

extension KeyedDecodingContainer {
    fileprivate func decodeMilliseconds(_ key: Key) throws -> Duration {
        let value = try decode(Int64.self, forKey: key)
        guard value >= 0 else {
            throw DecodingError.dataCorruptedError(
                forKey: key,
                in: self,
                debugDescription: "a duration is not negative"
            )
        }
        return .milliseconds(value)
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 { wholeNanoseconds / 1_000_000 }
}

/// A value of the vocabulary whose JSON form is its text.
package protocol TextCodable: Codable, CustomStringConvertible {
    init?(_ text: String)
}

extension TextCodable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\"\(text)\" is not a valid \(Self.self)"
            )
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// An enumeration that a later version may extend: a text that this version does not know is read as `unknown`.
///
/// During a rolling upgrade an older controller reads what newer proxies write: one word must not cost it the whole document.
package protocol OpenEnumeration: RawRepresentable, Codable where RawValue == String {
    static var unknown: Self { get }
}

extension OpenEnumeration {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        self = Self(rawValue: text) ?? .unknown
    }
}

extension SiteID: TextCodable {}
extension ProxyID: TextCodable {}
extension LinkName: TextCodable {}
extension ServiceAddress: TextCodable {}
extension PortName: TextCodable {}
extension ServicePort: TextCodable {}

extension LinkCost: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let value = try container.decode(Int32.self)
        guard let cost = LinkCost(value) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription:
                    "a link's cost is \(LinkCost.range.lowerBound)...\(LinkCost.range.upperBound), not \(value)"
            )
        }
        self = cost
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

extension PathCost: Codable {
    package init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(UInt32.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
