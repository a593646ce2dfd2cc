import NetworkModel

@testable import Routing

// What is wrong with what the gateways believe; nothing once everything has settled.

extension SimulatedNetwork {
    /// The costs, and the routes, of all ways; and whether there is still something to say.
    func complaints() -> [String] {
        let truth = trueCosts()
        return truth.gateways.flatMap { id -> [String] in
            guard let instance = self[id] else { return [] }
            var complaints = instance.isQuiet ? [] : ["\(id) is not quiet"]
            let believed = instance.table.gateways
            for gateway in truth.gateways where gateway != id {
                let (route, cost) = (believed[gateway], truth.cost(id, gateway))
                if route.map({ Int($0.cost.value) }) != cost {
                    complaints.append(
                        "\(id) believes that \(gateway) costs \(String(describing: route?.cost)),"
                            + " not \(String(describing: cost))"
                    )
                }
                guard let route else { continue }
                if route.hops.last != gateway || truth.length(of: route.hops, from: id) != cost {
                    complaints.append("\(id) has the route \(route.hops) to \(gateway)")
                }
            }
            let gone = Set(believed.keys).subtracting(truth.gateways)
            return complaints + gone.sorted().map { "\(id) knows a way to \($0)" }
        }
    }

    /// Whose databases say something else of those who can be reached than these do.
    func differences() -> [String] {
        let truth = trueCosts()
        var known: [[ProxyID]: [LSAHeader]] = [:]
        return truth.gateways.compactMap { id in
            let reached = truth.reached(from: id)
            let held = self[id]?.database.headers(of: reached) ?? []
            guard let first = known[reached] else {
                known[reached] = held
                return Set(held.map(\.key.origin)) == Set(reached)
                    ? nil : "\(id) does not know everybody in reach"
            }
            return held == first ? nil : "\(id) has another database than \(reached[0])"
        }
    }

    /// What is wrong with the targets of a service that the gateways in `servers` serve.
    func complaints(of service: ServicePort, servedBy servers: Set<ProxyID>) -> [String] {
        let truth = trueCosts(of: service.address)
        return truth.gateways.flatMap { id -> [String] in
            let targets = self[id]?.table.services[service] ?? []
            var expected: [SiteID: Int] = [:]
            for server in servers where server.site != id.site {
                guard let cost = truth.cost(id, server) else { continue }
                expected[server.site] = min(expected[server.site] ?? .max, cost)
            }
            let usable = targets.filter(\.target.reach.isUsable)
            let believed = Dictionary(
                uniqueKeysWithValues: usable.map {
                    ($0.site, Int($0.target.reach.cost?.value ?? 0))
                }
            )
            let others = usable.filter { target in
                target.routes.contains {
                    truth.length(of: $0, from: id) != believed[target.site]
                }
            }
            return (believed == expected ? [] : ["\(id): \(believed), not \(expected)"])
                + others.map { "\(id) has other ways to \($0.site): \($0.routes)" }
        }
    }
}
