import NetworkModel
import Wire

/// What a sidecar was told by its gateways, joined into targets and routes.
///
/// A target costs what the cheapest gateway says; the routes of all gateways with that cost are kept, each with the gateway
/// before it. A target is absent only if no gateway can reach it. Pure.
struct SidecarRoutes {
    private struct Told {
        var services: [ServicePort: SidecarService] = [:]
        var policies: [ServicePort: SidecarPolicy] = [:]
        var early: Set<ServicePort> = []
        var names: [SiteID: String] = [:]
        var isDraining = false
        /// The newest generation in force; an older one, which another loop delivers late, is ignored.
        var generation: UInt64 = 0
        /// Fragments of a generation that is not complete.
        var partial: [SidecarTable] = []
        /// The last answer: it may be lost with the lane that carried it.
        var answer: SidecarTableAcknowledgment?

        /// Puts a complete table into force.
        mutating func apply(_ table: [SidecarTable]) {
            var begun: Set<ServicePort> = []
            for part in table {
                if part.replacesAll {
                    services = [:]
                    policies = [:]
                    early = []
                    names = [:]
                }
                for service in part.services {
                    if begun.insert(service.service).inserted {
                        services[service.service] = service
                        policies[service.service] = nil
                        early.remove(service.service)
                    } else {
                        services[service.service]?.targets += service.targets
                    }
                }
                for service in part.removed {
                    services[service] = nil
                    policies[service] = nil
                    early.remove(service)
                }
                for policy in part.policies {
                    if policies[policy.service]?.add(policy) == nil {
                        policies[policy.service] = policy
                    }
                }
                early.formUnion(part.early)
                for name in part.names { names[name.site] = name.name }
            }
        }
    }

    private var gateways: [ProxyID: Told] = [:]

    /// Takes one frame and gives the answer; with the last frame of a table the table is in force.
    mutating func apply(
        _ table: SidecarTable,
        from gateway: ProxyID
    ) -> SidecarTableAcknowledgment? {
        var told = gateways[gateway] ?? Told()
        guard table.generation > told.generation,
            table.generation >= told.partial.first?.generation ?? 0
        else { return nil }
        if told.partial.first?.generation != table.generation { told.partial = [] }
        guard told.partial.count < TableTransfer.frameLimit else { return nil }
        told.partial.append(table)
        let answer = SidecarTableAcknowledgment(
            generation: table.generation,
            frames: UInt32(told.partial.count)
        )
        told.answer = answer
        if table.isLast {
            told.apply(told.partial)
            told.partial = []
            told.generation = table.generation
        }
        gateways[gateway] = told
        return answer
    }

    /// What was answered last to a gateway, which may not have heard it.
    func answer(to gateway: ProxyID) -> SidecarTableAcknowledgment? { gateways[gateway]?.answer }

    mutating func drop(_ gateway: ProxyID) { gateways[gateway] = nil }

    mutating func setDraining(_ gateway: ProxyID) {
        gateways[gateway, default: Told()].isDraining = true
    }

    /// The gateways to go through, in order: those that drain only when there is no other with a table.
    private var usable: [(key: ProxyID, value: Told)] {
        let all = gateways.sorted { $0.key < $1.key }
        let staying = all.filter { !$0.value.isDraining && !$0.value.services.isEmpty }
        return staying.isEmpty ? all : staying
    }

    var services: Set<ServicePort> {
        Set(gateways.values.flatMap { $0.services.keys })
    }

    var names: [SiteID: String] {
        gateways.sorted { $0.key > $1.key }
            .reduce(into: [:]) { names, gateway in
                names.merge(gateway.value.names) { _, new in new }
            }
    }

    func timeouts(_ service: ServicePort) -> ServiceTimeouts {
        gateways.sorted { $0.key < $1.key }.lazy
            .compactMap { $0.value.services[service]?.timeouts }.first ?? .standard
    }

    /// As the first gateway says that knows the service.
    func isEarly(_ service: ServicePort) -> Bool {
        gateways.sorted { $0.key < $1.key }
            .first { $0.value.services[service] != nil }?.value.early.contains(service) ?? false
    }

    /// What the first gateway says that knows the service, and the others of targets that it does not know.
    func policy(_ service: ServicePort) -> BalancingPolicy {
        let told = usable.compactMap { $0.value.policies[service] }
        guard var policy = told.first else { return .standard }
        for other in told.dropFirst() { policy.add(other) }
        return policy.policy
    }

    /// One target with its routes from this sidecar.
    struct Joined: Equatable {
        var target: Target
        var routes: [[ProxyID]]
    }

    func targets(_ service: ServicePort) -> [Joined] {
        var joined: [SiteID: Joined] = [:]
        for (gateway, told) in usable {
            for offer in told.services[service]?.targets ?? [] {
                let next = Joined(offer, by: gateway)
                let site = offer.target.site
                joined[site] = joined[site].map { Self.join($0, next) } ?? next
            }
        }
        return joined.values.sorted { $0.target.site < $1.target.site }
    }

    private static func join(_ left: Joined, _ right: Joined) -> Joined {
        guard let one = left.target.reach.offer else { return right }
        guard let other = right.target.reach.offer else { return left }
        // A target whose endpoints only terminate, in the eyes of one gateway, is as good as the other one says.
        let isLastResort = left.target.reach.isLastResort
        if isLastResort != right.target.reach.isLastResort { return isLastResort ? right : left }
        var best = one.cost <= other.cost ? left : right
        let (cost, endpoints) = (min(one.cost, other.cost), max(one.endpoints, other.endpoints))
        best.target.reach =
            isLastResort
            ? .lastResort(cost: cost, endpoints: endpoints)
            : .usable(cost: cost, endpoints: endpoints)
        if one.cost == other.cost { best.routes = left.routes + right.routes }
        return best
    }
}

extension SidecarRoutes.Joined {
    /// What one gateway offers, with the gateway before every route; a route that would be too long, or would go through the
    /// gateway twice, is left out, and with the last route the target.
    fileprivate init(_ offer: SidecarTarget, by gateway: ProxyID) {
        routes = offer.routes
            .filter { $0.count < WireLimit.route && !$0.contains(gateway) }
            .map { [gateway] + $0 }
        target = offer.target
        if target.reach.offer != nil, routes.isEmpty { target.reach = .absent(.linkLost) }
    }
}
