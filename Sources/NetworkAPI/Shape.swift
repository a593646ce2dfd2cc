import KubernetesAPI
import NetworkModel

/// Which fields an object may have: told by the coding keys, so that it is never another list than the types'.
package indirect enum Shape: Equatable, Sendable {
    case object([String: Shape])
    case list(Shape)
    /// Any keys.
    case map(Shape)
    case value
    /// A whole number within bounds.
    case number(ClosedRange<Int64>)
    /// Not looked into.
    case anything

    static func number(_ range: ClosedRange<Int32>) -> Shape {
        .number(Int64(range.lowerBound)...Int64(range.upperBound))
    }

    /// An object whose fields are plain values but for those given.
    static func fields<Keys: CodingKey & CaseIterable & Hashable>(
        _: Keys.Type,
        _ nested: [Keys: Shape] = [:]
    ) -> Shape {
        var fields: [String: Shape] = [:]
        for key in Keys.allCases { fields[key.stringValue] = nested[key] ?? .value }
        return .object(fields)
    }
}

extension ObjectKind {
    package var specShape: Shape {
        switch self {
        case .site: SiteSpec.shape
        case .link: LinkSpec.shape
        case .service: ServiceSpec.shape
        }
    }

    package var statusShape: Shape {
        switch self {
        case .site: SiteStatus.shape
        case .link: LinkStatus.shape
        case .service: ServiceStatus.shape
        }
    }
}

private let conditionsShape = Shape.list(
    .object([
        "type": .value, "status": .value, "reason": .value, "message": .value,
        "observedGeneration": .value, "lastTransitionTime": .value,
    ])
)

private let port = Shape.number(1...Int32(65535))
private let endpoint = Shape.fields(LinkEndpoint.CodingKeys.self, [.port: port])
private let healthShape = Shape.fields(
    HealthSettings.CodingKeys.self,
    [.misses: .number(Bounds.misses)]
)
private let cursorsShape = Shape.list(.fields(ProxyCursor.CodingKeys.self))
private let connectionsShape = Shape.fields(ConnectionCounts.CodingKeys.self)

extension SiteSpec {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .linkAccess: .fields(
                LinkAccess.CodingKeys.self,
                [
                    .hosts: .list(.value), .port: port, .annotations: .map(.value),
                    .loadBalancerSourceRanges: .list(.value),
                ]
            ),
            .allow: .list(.fields(NamedSite.CodingKeys.self)),
            .sites: .list(.fields(NamedSite.CodingKeys.self)),
            .identity: .fields(BroughtIdentity.CodingKeys.self),
            .imports: .fields(Imports.CodingKeys.self, [.trusted: .list(.value)]),
            .exports: .fields(Exports.CodingKeys.self),
            .proxy: .fields(
                ProxySettings.CodingKeys.self,
                [
                    .replicas: .number(Bounds.replicas), .loops: .number(Bounds.loops),
                    .resources: .fields(
                        ComputeResources.CodingKeys.self,
                        [.requests: .map(.value), .limits: .map(.value)]
                    ),
                    .nodeSelector: .map(.value), .affinity: .anything,
                    .tolerations: .list(.fields(Core.Toleration.CodingKeys.self)),
                    .topologySpreadConstraints: .list(.fields(TopologySpread.CodingKeys.self)),
                    .podLabels: .map(.value), .podAnnotations: .map(.value),
                    .imagePullSecrets: .list(.fields(Core.LocalObjectReference.CodingKeys.self)),
                ]
            ),
            .drain: .fields(DrainSettings.CodingKeys.self),
            .health: healthShape,
        ]
    )
}

extension SiteStatus {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .conditions: conditionsShape,
            .certificates: .fields(Certificates.CodingKeys.self),
            .endpoints: .list(endpoint),
            .proxies: .fields(Proxies.CodingKeys.self),
            .links: .fields(Tally.CodingKeys.self),
            .services: .fields(Tally.CodingKeys.self),
            .connections: connectionsShape,
            .cursors: cursorsShape,
        ]
    )
}

extension LinkSpec {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .endpoints: .list(endpoint), .health: healthShape,
            .tokenSecret: .fields(TokenReference.CodingKeys.self),
            .cost: .number(LinkCost.range),
            .autoCost: .fields(
                AutoCost.CodingKeys.self,
                [.min: .number(LinkCost.range), .max: .number(LinkCost.range)]
            ),
            .serviceCosts: .list(
                .fields(ServiceCost.CodingKeys.self, [.cost: .number(LinkCost.range)])
            ),
        ]
    )
}

extension LinkStatus {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .conditions: conditionsShape,
            .remoteSite: .fields(RemoteSite.CodingKeys.self),
            .connections: connectionsShape,
            .lastFailover: .fields(LastFailover.CodingKeys.self),
            .cursors: cursorsShape,
        ]
    )
}

extension ServiceSpec {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .ports: .list(.fields(Port.CodingKeys.self, [.port: port])),
            .selector: .map(.value),
            .hosts: .list(.value),
            .listen: .fields(
                Listen.CodingKeys.self,
                [
                    .namespaces: .object([
                        "matchLabels": .map(.value),
                        "matchExpressions": .list(
                            .object(["key": .value, "operator": .value, "values": .list(.value)])
                        ),
                    ])
                ]
            ),
            .timeouts: .fields(Timeouts.CodingKeys.self),
            .allowedSites: .list(.value), .fromSites: .list(.value),
            .balancing: .fields(
                Balancing.CodingKeys.self,
                [
                    .weights: .list(
                        .fields(
                            SiteWeight.CodingKeys.self,
                            [.weight: .number(BalancingPolicy.weightRange)]
                        )
                    ),
                    .costs: .list(
                        .fields(
                            SiteCost.CodingKeys.self,
                            [.cost: .number(BalancingPolicy.costRange)]
                        )
                    ),
                    .tiers: .list(.fields(Tier.CodingKeys.self, [.sites: .list(.value)])),
                    .minReadyEndpoints: .number(BalancingPolicy.minimumRange),
                ]
            ),
        ]
    )
}

extension ServiceStatus {
    fileprivate static let shape = Shape.fields(
        CodingKeys.self,
        [
            .conditions: conditionsShape,
            .targets: .list(.fields(Target.CodingKeys.self)),
            .activeSites: .list(.value),
            .connections: .fields(Connections.CodingKeys.self),
            .lastFailover: .fields(LastFailover.CodingKeys.self),
            .cursors: cursorsShape,
        ]
    )
}
